"""Signs GETs with botocore, at instants that are given. One JSON request per line on standard input, one JSON line of headers
per request on standard output.
"""

import datetime
import json
import sys

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

instant = None


def now(remove_tzinfo=True):
    return datetime.datetime.strptime(instant, "%Y%m%dT%H%M%SZ")


botocore.auth.get_current_datetime = now
for line in sys.stdin:
    wish = json.loads(line)
    instant = wish["at"]
    request = AWSRequest(method="GET", url=wish["url"], headers=wish["headers"])
    key = Credentials(wish["id"], wish["secret"], wish.get("token"))
    botocore.auth.S3SigV4Auth(key, "s3", wish["region"]).add_auth(request)
    print(json.dumps({name.lower(): value for name, value in request.headers.items()}))
