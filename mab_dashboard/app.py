"""The app: navigation, language, and the page that the URL names."""

from collections.abc import Callable, Mapping

import streamlit as st

from mab_dashboard.api import Api, ApiError
from mab_dashboard.formats import Language
from mab_dashboard.look import STYLE, block
from mab_dashboard.place import PAGES, Page, Place, place_of
from mab_dashboard.screens import experiment, overview, quality, what_if
from mab_dashboard.texts import LANGUAGES
from mab_dashboard.view import KEY, View, go, show_note, show_problem, utc_now
from mab_store.errors import SettingsError
from mab_store.settings import load_settings

BRAND = block('<h1 style="font-size:1.3rem;font-weight:700;margin:0;padding:0">mab</h1>')
SHOW: Mapping[Page, Callable[[View], None]] = {
    "overview": overview.show,
    "experiment": experiment.show,
    "quality": quality.show,
    "what_if": what_if.show,
}


def main() -> None:
    """Show the place that the URL names; every failure of the API is a state, not a trace."""
    st.set_page_config(page_title="mab", layout="wide", initial_sidebar_state="collapsed")
    st.html(STYLE)
    try:
        url = load_settings().api_url
    except SettingsError as error:
        show_note(str(error))
        return
    place = place_of(st.query_params.to_dict())
    view = View(Api(url, st.session_state.get(KEY, "")), place, utc_now())
    _navigation(view)
    try:
        SHOW[place.page](view)
    except ApiError as error:
        show_problem(view, error)


def _navigation(view: View) -> None:
    place = view.place
    bar = st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
    )
    bar.html(BRAND, width="content")
    page = bar.segmented_control(
        view.say("navigation"),
        PAGES,
        default=place.page,
        format_func=lambda name: view.say(f"page_{name}"),
        key=f"navigation_{place.page}_{place.language}",
        label_visibility="collapsed",
    )
    chosen: Language | None = bar.segmented_control(
        view.say("language"),
        list(LANGUAGES),
        default=place.language,
        format_func=lambda name: LANGUAGES[name],
        key=f"language_{place.page}_{place.language}",
        label_visibility="collapsed",
    )
    wanted = Place(page or place.page, place.experiment, place.day, chosen or place.language)
    if wanted != place:
        go(wanted)


if __name__ == "__main__":
    main()
