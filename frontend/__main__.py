"""Run the page: `python -m frontend`, with its settings in the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from frontend.settings import SettingRefused, read

FOLDER = Path(__file__).parent


def main() -> None:
    """Serve until told to stop; exit with 2 where a setting is refused."""
    try:
        settings = read(os.environ)
    except SettingRefused as refused:
        sys.stderr.write(f"{refused}\n")
        sys.exit(2)
    # Streamlit reads .streamlit/config.toml of the folder it is started in, and of no other.
    os.chdir(FOLDER)
    from streamlit.web.cli import main as streamlit

    listen = [f"--server.address={settings.host}", f"--server.port={settings.port}"]
    streamlit(["run", str(FOLDER / "app.py"), *listen])


if __name__ == "__main__":
    main()
