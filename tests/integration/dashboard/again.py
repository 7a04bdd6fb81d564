"""Published decisions of a home, decided again by the What if page from what the API says."""

import json
from datetime import timedelta

from mab_api.queries.evidence import daily_page
from mab_api.queries.history import PageRequest, publications_page
from mab_dashboard.counts import counts_of, decided
from mab_dashboard.what_if import Again, decide_again, rule_of
from mab_store.experiments.schemas import experiment_id_of
from mab_store.explanation import explanation, published_decision
from mab_store.settings import Settings
from mab_store.warehouse.reader import open_reader


def decided_again(settings: Settings, name: str) -> list[Again]:
    """Decide each published day of an experiment under the settings that it recorded."""
    key = experiment_id_of(name)
    record = {"experiment_id": key, "name": name, "variants": []}
    page = PageRequest(None, None, 1000, None)
    found = []
    with open_reader(settings) as copy:
        body = json.loads(publications_page(copy, record, page).body)
        days = json.loads(daily_page(copy, record, page).body)["days"]
        for one in decided(body["publications"]):
            decision = published_decision(copy, key, name, one.day)
            rule = rule_of(explanation(copy, decision)["settings"])
            first = one.day - timedelta(days=rule.max_window_days - 1)
            counts = counts_of(days, one.variants, first=first, last=one.day)
            found += decide_again(key, [one], counts, rule)
    return found
