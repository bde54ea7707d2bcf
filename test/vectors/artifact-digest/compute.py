"""Artifact digest v1 in the standard library of Python, written from docs/reference/artifact-digest.md alone.

Reads a JSON array of file lists from standard input, each file {"path", "digest", "sizeBytes"}; writes an array of
{"manifest", "config", "digest", "configDigest"}. It is the second opinion on src/artifact/manifest.ts. Sorting by
`str` is right here because Python orders text by code point, as the page asks; member names are ASCII only.
"""

import hashlib
import json
import sys


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(text):
    return "sha256:" + hashlib.sha256(text.encode("utf-8")).hexdigest()


def compute(files):
    files = sorted(files, key=lambda file: file["path"])
    config = canonical(
        {
            "config": {},
            "descriptor": {},
            "modelfs": {"type": "layers", "diffIds": [file["digest"] for file in files]},
        }
    )
    manifest = canonical(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/vnd.cncf.model.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.cncf.model.config.v1+json",
                "digest": digest(config),
                "size": len(config.encode("utf-8")),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.cncf.model.weight.v1.raw",
                    "digest": file["digest"],
                    "size": file["sizeBytes"],
                    "annotations": {"org.cncf.model.filepath": file["path"]},
                }
                for file in files
            ],
        }
    )
    return {
        "manifest": manifest,
        "config": config,
        "digest": digest(manifest),
        "configDigest": digest(config),
    }


if __name__ == "__main__":
    cases = json.loads(sys.stdin.buffer.read().decode("utf-8"))
    sys.stdout.buffer.write(json.dumps([compute(files) for files in cases]).encode("utf-8"))
