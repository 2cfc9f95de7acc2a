"""The studio in a browser: python app.py, then open http://127.0.0.1:7860."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description="Serve InfiniteTalk Studio.")
    parser.add_argument("--preset", default="nano", help="what the page starts with (default: nano)")
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"), help="address to serve")
    parser.add_argument("--port", type=int, default=int(os.environ.get("GRADIO_SERVER_PORT", "7860")))
    parser.add_argument("--share", action="store_true", help="a public link through gradio's servers")
    parser.add_argument("--jobs-dir", type=Path, default=Path("jobs"), help="where films and their parts are kept")
    parser.add_argument(
        "--keep-hours", type=float, default=24.0 if os.environ.get("SPACE_ID") else None,
        help="delete films so many hours after they were last changed (default: on a Space 24, else never)",
    )  # fmt: skip
    arguments = parser.parse_args()

    from infinitetalk.runtime.telemetry import refuse_telemetry
    from infinitetalk.ui.stopping import stop_on_signals

    refuse_telemetry()
    stop_on_signals()

    from infinitetalk.runtime.proxies import drop_unusable_proxies

    for note in drop_unusable_proxies():
        print(f"Note: {note}", file=sys.stderr)

    from infinitetalk.errors import UserError
    from infinitetalk.ui.page import launch

    try:
        launch(**vars(arguments))
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
