"""Runs calls of the unmodified huggingface_hub and says what came of them.

One JSON object per line on standard input, one JSON answer per line on standard output. HF_ENDPOINT is set by the
caller, as a user would set it. {"call": name, "arguments": {...}} -> {"value": ...} or {"error": class, "message": text}.
"""

import hashlib
import json
import os
import sys

import huggingface_hub
from huggingface_hub import HfApi

api = HfApi()


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def folder(root):
    found = {}
    for parent, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".cache"]
        for name in names:
            path = os.path.join(parent, name)
            found[os.path.relpath(path, root)] = digest(path)
    return found


def snapshot(**arguments):
    return folder(huggingface_hub.snapshot_download(**arguments))


def download(**arguments):
    path = huggingface_hub.hf_hub_download(**arguments)
    return {"sha256": digest(path), "name": os.path.basename(path), "bytes": os.path.getsize(path)}


def metadata(path):
    found = huggingface_hub.get_hf_file_metadata(os.environ["HF_ENDPOINT"] + path)
    return {"commit": found.commit_hash, "etag": found.etag, "size": found.size, "location": found.location}


def read_ranges(path, ranges):
    from huggingface_hub import HfFileSystem

    with HfFileSystem().open(path, "rb", block_size=1 << 16) as file:
        parts = []
        for start, length in ranges:
            file.seek(start)
            parts.append(file.read(length).hex())
        return parts


def leftovers(root):
    """Every file in a cache that carries a final name, and every temporary one."""
    final, temporary = [], []
    for parent, _, names in os.walk(root):
        for name in names:
            (temporary if name.endswith(".incomplete") else final).append(os.path.join(parent, name))
    return {
        "published": [path for path in final if "/blobs/" in path or "/snapshots/" in path],
        "temporary": temporary,
    }


calls = {
    "version": lambda: huggingface_hub.__version__,
    "info": lambda **a: (lambda found: {"sha": found.sha, "files": [s.rfilename for s in found.siblings], "tags": found.tags})(
        api.repo_info(**a)
    ),
    "sizes": lambda **a: {s.rfilename: s.size for s in api.model_info(files_metadata=True, **a).siblings},
    "files": lambda **a: api.list_repo_files(**a),
    "tree": lambda **a: [entry.path for entry in api.list_repo_tree(**a)],
    "paths": lambda **a: [
        [entry.path, getattr(getattr(entry, "last_commit", None), "oid", None)] for entry in api.get_paths_info(**a)
    ],
    "refs": lambda **a: [[ref.name, ref.target_commit] for ref in api.list_repo_refs(**a).branches],
    "commits": lambda **a: [commit.commit_id for commit in api.list_repo_commits(**a)],
    "models": lambda **a: [model.id for model in api.list_models(**a)],
    "repo_exists": lambda **a: api.repo_exists(**a),
    "revision_exists": lambda **a: api.revision_exists(**a),
    "file_exists": lambda **a: api.file_exists(**a),
    "auth_check": lambda **a: api.auth_check(**a),
    "whoami": lambda **a: api.whoami(**a)["name"],
    "snapshot": snapshot,
    "download": download,
    "metadata": metadata,
    "read_ranges": read_ranges,
    "leftovers": leftovers,
}


def chain(error):
    """The message that a user sees at the end of a traceback: the raised exception only, not its causes."""
    return {"error": type(error).__name__, "message": str(error)}


for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"value": calls[request["call"]](**request.get("arguments", {}))}
    except Exception as error:  # every client error is a result here
        answer = chain(error)
    print(json.dumps(answer), flush=True)
