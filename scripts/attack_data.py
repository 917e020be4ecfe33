"""Makes data for an attack: documents and jobs of its user, a deletion, cursors and a signed upload. Writes each kind to a
file as a dictionary of schemathesis.

    attack_data.py BASE_URL FOLDER      the token is in $ATTACK_TOKEN
"""

import base64
import hashlib
import json
import os
import pathlib
import sys
import urllib.parse
import urllib.request

DOCUMENTS = 12


class Api:
    def __init__(self, base):
        self.base = base

    def call(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {os.environ['ATTACK_TOKEN']}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def cursor(self, path):
        return self.call("GET", f"{path}?limit=1").get("next_cursor")


def main():
    api, folder = Api(sys.argv[1]), pathlib.Path(sys.argv[2])
    taken, run = [], os.urandom(4).hex()
    for number in range(DOCUMENTS + 1):
        text = {"title": f"attack {number}", "text": f"# Part {number} of {run}\n\nWhat is attacked must be there.\n"}
        taken += api.call("POST", "/documents", text)["documents"]
    gone = api.call("DELETE", f"/documents/{taken.pop()['document_id']}")
    # The samples of the first start are complete; the documents above may be at any status.
    jobs = api.call("GET", "/jobs?limit=100")["items"]
    body = f"what was announced by {run}".encode()
    announced = {"filename": "a.txt", "bytes_len": len(body), "mime": "text/plain", "sha256": hashlib.sha256(body).hexdigest()}
    signed = urllib.parse.urlsplit(api.call("POST", "/upload", announced)["signed_url"])
    query = urllib.parse.parse_qs(signed.query)
    events = f"/jobs/{jobs[-1]['job_id']}/events"
    chunks = f"/documents/{jobs[-1]['document_id']}/chunks"
    claims = os.environ["ATTACK_TOKEN"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    found = {
        "users": [claims["sub"]],
        "jobs": [job["job_id"] for job in jobs],
        "documents": [job["document_id"] for job in jobs],
        "deletions": [gone["deletion_id"]],
        "uploads": [signed.path.rsplit("/", 1)[1]],
        "signatures": query["signature"],
        "job_cursors": [api.cursor("/jobs")],
        "document_cursors": [api.cursor("/documents")],
        "event_cursors": [api.cursor(events) or "1"],
        "chunk_cursors": [api.cursor(chunks) or "0"],
    }
    for name, values in found.items():
        (folder / name).write_text("".join(f'"{value}"\n' for value in values))
    # A number, which a dictionary file cannot contain.
    (folder / "expires").write_text(query["expires"][0])


main()
