"""Real requests and answers for the OpenAPI document: those of docs/API.md.

The test of that page writes them
(`MAB_WRITE_DOCS=1 pytest tests/integration/api/test_docs_page.py`).
"""

import json
from pathlib import Path
from typing import Any

EXAMPLES: dict[str, Any] = json.loads(
    Path(__file__).with_name("openapi_examples.json").read_text("utf-8")
)

EXPERIMENT_ID = "exp_cf81a064b2bd"
VARIANTS = ("control", "variant_a", "variant_b")

REQUESTS: dict[str, Any] = {
    "register": {
        "name": "homepage_cta_test",
        "description": "Testing CTA button variants",
        "variants": [{"name": name, "is_control": name == "control"} for name in VARIANTS],
    },
    "change": {
        "changed_by": "ana@example.com",
        "reason": "The button gets a third text.",
        "add_variants": ["variant_c"],
    },
    "metrics": {
        "date": "2025-01-15",
        "metrics": [
            {"variant_name": name, "impressions": 10_000, "clicks": clicks}
            for name, clicks in zip(VARIANTS, (320, 420, 380), strict=True)
        ],
    },
}
