import hashlib
import json
import shutil
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mab_api.idempotency import Keys
from mab_api.submissions import MAX_BODY_BYTES
from mab_store.experiments.schemas import experiment_id_of
from mab_store.files.parsers import read_metrics
from mab_store.files.receipts import Receipt, Receipts
from tests.integration.api.homes import NOW, TODAY

FIRST = experiment_id_of("experiment_000")
METRICS = f"/experiments/{FIRST}/metrics"
JSON = {"content-type": "application/json"}
BRIEF = {
    "name": "homepage_cta_test",
    "description": "Testing CTA button variants",
    "variants": [
        {"name": "control", "is_control": True},
        {"name": "variant_a", "is_control": False},
        {"name": "variant_b", "is_control": False},
    ],
}


def counts(**changes: object) -> dict[str, object]:
    row = {"variant_name": "control", "impressions": 10_000, "clicks": 320}
    return {"date": str(TODAY), "metrics": [row]} | changes


def rows(**changes: object) -> dict[str, object]:
    return counts(metrics=[counts()["metrics"][0] | changes])


def written(api) -> list[str]:
    root = api.home.settings.mab_home / "inbox"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_the_briefs_experiment_is_registered_with_its_id_and_address(api):
    answer = api.post("/experiments", json=BRIEF)
    assert answer.status_code == 201
    body = answer.json()
    assert body["experiment_id"] == experiment_id_of("homepage_cta_test")
    assert answer.headers["location"] == f"/experiments/{body['experiment_id']}"
    assert {key: body[key] for key in ("name", "description")} == {
        key: BRIEF[key] for key in ("name", "description")
    }
    assert [v | {"status": "active"} for v in BRIEF["variants"]] == body["variants"]
    assert api.get(answer.headers["location"]).json() == body
    assert f"experiments/{body['experiment_id']}/registered.json" in written(api)


def test_the_same_experiment_again_is_200_and_writes_nothing(api):
    first = api.post("/experiments", json=BRIEF)
    before = written(api)
    again = api.post("/experiments", json=BRIEF)
    assert (again.status_code, again.json()) == (200, first.json())
    assert written(api) == before


def test_another_body_under_a_taken_name_is_409_and_writes_nothing(api):
    api.post("/experiments", json=BRIEF)
    before = written(api)
    answer = api.post("/experiments", json=BRIEF | {"description": "other"})
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:mab:problem:experiment-exists"
    assert written(api) == before


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "x" * 201}, "/name"),
        ({"name": 7}, "/name"),
        ({"variants": BRIEF["variants"][:1]}, "/variants"),
        ({"variants": [{"name": f"v{n}", "is_control": n == 0} for n in range(101)]}, "/variants"),
        ({"variants": [BRIEF["variants"][0]] * 2}, "/"),
        ({"variants": BRIEF["variants"][1:]}, "/"),
        (
            {"variants": [{"name": "a", "is_control": "yes"}, {"name": "b"}]},
            "/variants/0/is_control",
        ),
        ({"variants": [{"name": "a", "is_control": 1}, {"name": "b"}]}, "/variants/0/is_control"),
        ({"start_date": "tomorrow"}, "/start_date"),
        ({"colour": "red"}, "/colour"),
    ],
)
def test_an_experiment_that_makes_no_sense_is_422_and_says_where(api, change, pointer):
    answer = api.post("/experiments", json=BRIEF | change)
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]


def test_counts_are_a_file_that_the_pipeline_reads_as_they_were_sent(api):
    answer = api.post(METRICS, json=counts())
    assert answer.status_code == 202
    receipt = answer.json()
    assert receipt["received_at"] == f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
    name = f"metrics/{TODAY}/post-{receipt['submission_id']}.json"
    payload = (api.home.settings.mab_home / "inbox" / name).read_bytes()
    parsed = read_metrics(name, payload, metric_date=TODAY)
    receipts = Receipts(api.home.settings.receipts_dir).of_day(TODAY)
    key = (name, hashlib.sha256(payload).hexdigest())
    assert receipts == {key: Receipt(*key, received_at=NOW, by="POST")}
    assert parsed.rows.to_pylist() == [
        {
            "experiment": FIRST,
            "variant_name": "control",
            "impressions": "10000",
            "clicks": "320",
            "submission_id": receipt["submission_id"],
        }
    ]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (rows(impressions=1.0), "/metrics/0/impressions"),
        (rows(impressions="10000"), "/metrics/0/impressions"),
        (rows(impressions=True), "/metrics/0/impressions"),
        (rows(impressions=None), "/metrics/0/impressions"),
        (rows(impressions=2**53), "/metrics/0/impressions"),
        (rows(clicks=-1), "/metrics/0/clicks"),
        (rows(clicks=10_001), "/metrics/0"),
        (rows(variant_name="nobody"), "/metrics/0/variant_name"),
        (rows(extra=1), "/metrics/0/extra"),
        (counts(metrics=[]), "/metrics"),
        (counts(metrics=counts()["metrics"] * 2), "/"),
        (counts(date=str(TODAY + timedelta(days=1))), "/date"),
        (counts(date="2024-12-31"), "/date"),
        (counts(date="15/01/2025"), "/date"),
        (counts(date=20250115), "/date"),
        (counts(experiment="other"), "/experiment"),
    ],
)
def test_counts_that_make_no_sense_are_422_and_say_where(api, body, pointer):
    before = written(api)
    answer = api.post(METRICS, json=body)
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert written(api) == before


def test_counts_of_today_and_of_the_first_day_are_taken(api):
    for day in (TODAY, date(2025, 1, 1)):
        assert api.post(METRICS, json=counts(date=str(day))).status_code == 202


def test_counts_of_an_unknown_experiment_are_404(api):
    for wrong in ("exp_000000000000", "..%2f..", "x"):
        answer = api.post(f"/experiments/{wrong}/metrics", json=counts())
        assert answer.status_code == 404


def test_a_variant_counts_from_the_day_after_it_was_added(api):
    change = {
        "experiment_id": FIRST,
        "created_at": f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
        "add_variants": ["variant_z"],
    }
    api.home.platform.inbox.write(f"experiments/{FIRST}/add.json", json.dumps(change).encode())
    body = rows(variant_name="variant_z")
    assert api.post(METRICS, json=body).status_code == 422
    api.home.clock.now += timedelta(days=1)
    later = body | {"date": str(TODAY + timedelta(days=1))}
    assert api.post(METRICS, json=later).status_code == 202


def test_the_same_key_and_body_give_the_same_receipt_and_one_file(api):
    key = {"idempotency-key": "2025-01-15/homepage"}
    first = api.post(METRICS, json=counts(), headers=key)
    before = written(api)
    api.home.clock.now += timedelta(seconds=5)
    again = api.post(METRICS, json=counts(), headers=key)
    assert (again.status_code, again.json()) == (202, first.json())
    assert written(api) == before


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (METRICS, rows(clicks=321)),
        (METRICS, counts(date=str(TODAY - timedelta(days=1)))),
        (f"/experiments/{experiment_id_of('experiment_001')}/metrics", counts()),
    ],
)
def test_a_key_that_came_with_another_submission_is_refused(api, path, body):
    key = {"idempotency-key": "k"}
    api.post(METRICS, json=counts(), headers=key)
    before = written(api)
    answer = api.post(path, json=body, headers=key)
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:mab:problem:idempotency-key-reused"
    assert written(api) == before


def test_a_key_whose_submission_did_not_get_onto_the_disk_writes_it_the_next_time(api):
    key = {"idempotency-key": "k"}
    first = api.post(METRICS, json=counts(), headers=key)
    (lost,) = (api.home.settings.mab_home / "inbox" / "metrics" / str(TODAY)).iterdir()
    content = lost.read_bytes()
    lost.unlink()
    again = api.post(METRICS, json=counts(), headers=key)
    assert (again.status_code, again.json()) == (202, first.json())
    assert lost.read_bytes() == content


def test_a_key_of_before_keys_had_files_of_their_own_is_known(api):
    key = {"idempotency-key": "k"}
    first = api.post(METRICS, json=counts(), headers=key)
    shutil.rmtree(api.home.settings.mab_home / "inbox" / "idempotency")
    api.app.state.serving.submissions._keys = Keys(api.home.platform.inbox)
    assert api.post(METRICS, json=counts(), headers=key).json() == first.json()
    shutil.rmtree(api.home.settings.mab_home / "inbox" / "idempotency")
    api.app.state.serving.submissions._keys = Keys(api.home.platform.inbox)
    other = counts(date=str(TODAY - timedelta(days=1)))
    assert api.post(METRICS, json=other, headers=key).status_code == 409


def test_without_a_key_each_submission_is_a_file_of_its_own(api):
    ids = {api.post(METRICS, json=counts()).json()["submission_id"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_of_no_or_too_great_length_is_422(api, key):
    assert api.post(METRICS, json=counts(), headers={"idempotency-key": key}).status_code == 422


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"date": NaN}',
        b'{"date": "2026-03-10", "date": "2026-03-09", "metrics": []}',
        b"[" * 100_000,
        b'{"a": ' + b"9" * 5_000 + b"}",
    ],
)
def test_what_is_not_json_is_400_and_never_500(api, content):
    answer = api.post(METRICS, content=content, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:mab:problem:malformed-request"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_not_declared_as_json_is_415(api, kind):
    answer = api.post("/experiments", content=json.dumps(BRIEF), headers={"content-type": kind})
    assert answer.status_code == 415


def test_a_body_of_a_mebibyte_is_read_and_one_byte_more_is_413(api):
    def sent(length: int) -> int:
        return api.post("/experiments", content=b" " * length, headers=JSON).status_code

    assert sent(MAX_BODY_BYTES) == 400
    assert sent(MAX_BODY_BYTES + 1) == 413


def test_an_inbox_that_cannot_be_written_is_503_and_reading_goes_on(api):
    inbox = api.home.settings.mab_home / "inbox"
    inbox.rename(inbox.with_name("gone"))
    inbox.write_text("a file where the folder was")
    answer = api.post("/experiments", json=BRIEF)
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:mab:problem:inbox-unavailable"
    assert answer.headers["retry-after"] == "30"
    assert api.get(f"/experiments/{FIRST}/allocation").status_code == 200
    assert api.refresh()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)
near_misses = st.fixed_dictionaries(
    {},
    optional={
        "date": json_values | st.dates().map(str),
        "metrics": json_values
        | st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "variant_name": json_values | st.sampled_from(["control", "variant_a"]),
                    "impressions": json_values | st.integers(-1, 2**54),
                    "clicks": json_values | st.integers(-1, 2**54),
                },
            ),
            max_size=3,
        ),
        "name": json_values,
        "variants": json_values,
    },
)
relaxed = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@relaxed
@given(body=near_misses | json_values, path=st.sampled_from([METRICS, "/experiments"]))
def test_no_json_value_makes_it_crash(api, body, path):
    answer = api.post(path, content=json.dumps(body), headers=JSON)
    assert answer.status_code in {201, 202, 400, 409, 422}


@relaxed
@given(content=st.binary(max_size=200), path=st.sampled_from([METRICS, "/experiments"]))
def test_no_bytes_make_it_crash(api, content, path):
    assert api.post(path, content=content, headers=JSON).status_code in {400, 422}
