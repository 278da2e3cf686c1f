"""Starts the service: ``python -m serve``. Settings come from the environment; see ``serve.settings``."""

import logging
import sys

import uvicorn

from serve.app import make_app
from serve.guard import JsonLines
from serve.settings import Settings


def main() -> None:
    """Loads the model and serves until it is told to stop; what was accepted is finished."""
    settings = Settings()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=settings.log_level, handlers=[handler])
    app = make_app(settings)
    uvicorn.run(
        app, host=settings.host, port=settings.port, log_config=None, access_log=False, timeout_graceful_shutdown=30
    )


if __name__ == "__main__":
    main()
