"""Starts the service, or looks after its API keys. Settings come from the environment; see ``serve.settings``.

python -m serve
python -m serve keys add NAME [--editor] | keys list | keys revoke ID
python -m serve export [FOLDER]
"""

import argparse
import json
import logging
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

import uvicorn

from serve.adjudication import adjudicate
from serve.app import make_app
from serve.database import Database
from serve.guard import JsonLines
from serve.settings import Settings

_KEEP_ALIVE_S: Final = 65
"""Longer than clients keep an idle connection: if both give up after the same time, requests meet a closing one."""


def main() -> None:
    """Parses the command line, then serves or looks after the keys."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top = parser.add_subparsers(dest="command")
    export = top.add_parser(
        "export", help="write the corrections that hold, for python -m data.build --source feedback"
    )
    export.add_argument("folder", type=Path, nargs="?", default=Path("data/feedback"), help="where to (data/feedback)")
    commands = top.add_parser("keys", help="API keys").add_subparsers(dest="action", required=True)
    add = commands.add_parser("add", help="make a key and print it, once")
    add.add_argument("name", help="whose key it is")
    add.add_argument("--editor", action="store_true", help="its corrections overrule others")
    commands.add_parser("list", help="the keys, without their secrets")
    commands.add_parser("revoke", help="make a key useless").add_argument("id", help="as `keys list` shows it")
    arguments = parser.parse_args()
    settings = Settings()
    if arguments.command == "keys":
        sys.exit(_keep_keys(arguments, settings))
    if arguments.command == "export":
        _export(arguments.folder, settings)
        return
    _serve(settings)


def _serve(settings: Settings) -> None:
    """Loads the model and serves until it is told to stop; what was accepted is finished."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=settings.log_level, handlers=[handler])
    app = make_app(settings)
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(settings.timeout_s),  # open pages of the demo would hold it for ever
    )


def _export(folder: Path, settings: Settings) -> None:
    """Writes what was settled, and lists what an editor should settle."""
    database = Database.open(settings.database_url)
    try:
        rows = database.list_feedback()
    finally:
        database.close()
    resolutions, conflicts = adjudicate(rows)
    folder.mkdir(parents=True, exist_ok=True)
    for name, found in (("feedback", resolutions), ("conflicts", conflicts)):
        lines = [json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in found]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    print(f"{len(rows)} corrections: {len(resolutions)} statements in {folder / 'feedback.jsonl'}")
    for conflict in conflicts:
        votes = ", ".join(f"{label} {count}" for label, count in conflict.votes)
        pair = f"{conflict.speaker or 'author'} -> {conflict.counterpart or 'anyone'}"
        print(f"conflict on {conflict.head} ({votes}): {pair}: {conflict.text}")


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
