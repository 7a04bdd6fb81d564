"""A client that goes away before its request has come in."""

import pytest

from mab_store.settings import Settings
from tests.abuse.asgi import made_app, send

ID = "exp_000000000000"
GONE = {"type": "http.disconnect"}
BEGINNING = {"type": "http.request", "body": b'{"name": "n', "more_body": True}


@pytest.mark.parametrize("incoming", [[GONE], [BEGINNING, GONE], [BEGINNING] * 3 + [GONE]])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/experiments"),
        ("PATCH", f"/experiments/{ID}"),
        ("POST", f"/experiments/{ID}/metrics"),
    ],
)
def test_it_is_no_crash_and_writes_nothing(tmp_path, method, path, incoming):
    app = made_app(Settings(_env_file=None, mab_home=tmp_path), is_dev=True)
    reply = send(app, method, path, incoming=incoming)
    assert (reply.status, reply.problem) == (499, "client-gone")
    log = app.state.serving.lines
    log.flush()
    lines = log._stream.getvalue().decode()
    assert '"status":499' in lines
    assert '"crashed"' not in lines
    assert not any(tmp_path.iterdir())
