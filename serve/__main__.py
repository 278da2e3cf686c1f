"""Starts the service, or looks after its API keys. Settings come from the environment; see ``serve.settings``.

python -m serve
python -m serve keys add NAME [--editor] | keys list | keys revoke ID
"""

import argparse
import logging
import sys

import uvicorn

from serve.app import make_app
from serve.database import Database
from serve.guard import JsonLines
from serve.settings import Settings


def main() -> None:
    """Parses the command line, then serves or looks after the keys."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = (
        parser.add_subparsers(dest="command")
        .add_parser("keys", help="API keys")
        .add_subparsers(dest="action", required=True)
    )
    add = commands.add_parser("add", help="make a key and print it, once")
    add.add_argument("name", help="whose key it is")
    add.add_argument("--editor", action="store_true", help="its corrections overrule others")
    commands.add_parser("list", help="the keys, without their secrets")
    commands.add_parser("revoke", help="make a key useless").add_argument("id", help="as `keys list` shows it")
    arguments = parser.parse_args()
    settings = Settings()
    if arguments.command == "keys":
        sys.exit(_keep_keys(arguments, settings))
    _serve(settings)


def _serve(settings: Settings) -> None:
    """Loads the model and serves until it is told to stop; what was accepted is finished."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=settings.log_level, handlers=[handler])
    app = make_app(settings)
    uvicorn.run(
        app, host=settings.host, port=settings.port, log_config=None, access_log=False, timeout_graceful_shutdown=30
    )


def _keep_keys(arguments: argparse.Namespace, settings: Settings) -> int:
    database = Database.open(settings.database_url)
    try:
        if arguments.action == "add":
            print(database.make_key(arguments.name, is_editor=arguments.editor))
        elif arguments.action == "list":
            for key in database.list_keys():
                state = f"revoked {key.revoked:%Y-%m-%d}" if key.revoked else "editor" if key.is_editor else "valid"
                print(f"{key.id}  {key.prefix}...  {state:18}  {key.created:%Y-%m-%d}  {key.name}")
        elif not database.revoke_key(arguments.id):
            print(f"there is no valid key with the id {arguments.id!r}: see `keys list`", file=sys.stderr)
            return 1
    finally:
        database.close()
    return 0


if __name__ == "__main__":
    main()
