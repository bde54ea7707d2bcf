"""A download manager in thirty lines: python resuming_download.py URL TARGET

Keeps what it has under TARGET.part, hangs up after every 3 MB, asks for the rest with Range, and gives the file its name
when it has as many bytes as the first answer announced. Prints the reason of a refusal as the server words it.
"""

import os
import sys
import urllib.error
import urllib.request

url, target = sys.argv[1:]
part = target + ".part"
total = None
tries = 0

while total is None or os.path.getsize(part) < total:
    have = os.path.getsize(part) if os.path.exists(part) else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=90) as answer:
            if answer.status == 200:
                have = 0
            if total is None:
                total = have + int(answer.headers["Content-Length"])
            with open(part, "ab" if have else "wb") as file:
                got = 0
                while got < 3_000_000 and (chunk := answer.read(65536)):
                    file.write(chunk)
                    got += len(chunk)
    except urllib.error.HTTPError as error:
        if error.code == 503 and tries < 60:
            tries += 1
            continue
        sys.exit(f"{error.code} {error.headers['X-Error-Message']}")
    except OSError as error:
        tries += 1
        if tries > 60:
            sys.exit(f"gave up: {error}")

os.replace(part, target)
