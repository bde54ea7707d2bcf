"""Fills a bucket of a running S3 server and makes a key that may read it, with the real boto3.

{"endpoint": url, "bucket": name, "files": {key: base64}, "acl": canned ACL} on standard input -> {"id": ..., "secret": ...} on standard output.
"""

import base64
import json
import sys

import boto3

wish = json.load(sys.stdin)
place = {
    "endpoint_url": wish["endpoint"],
    "region_name": "us-east-1",
    "aws_access_key_id": "setup",
    "aws_secret_access_key": "setup",
}
iam = boto3.client("iam", **place)
iam.create_user(UserName="reader")
iam.put_user_policy(
    UserName="reader",
    PolicyName="read",
    PolicyDocument=json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
        }
    ),
)
key = iam.create_access_key(UserName="reader")["AccessKey"]
s3 = boto3.client("s3", **place)
s3.create_bucket(Bucket=wish["bucket"], ACL=wish["acl"])
for name, content in wish["files"].items():
    s3.put_object(Bucket=wish["bucket"], Key=name, Body=base64.b64decode(content), ACL=wish["acl"])
print(json.dumps({"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}))
