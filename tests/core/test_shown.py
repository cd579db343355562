"""A cell that runs again after a loss shows what is new, and nothing twice."""

from __future__ import annotations

from typing import Any

from relay_kernel.core.shown import Shown, under_shown_name

WIDGET = {"data": {"application/vnd.jupyter.widget-view+json": {"model_id": "m"}}}
FIGURE = {"data": {"image/png": "…"}}


def prints(shown: Shown, *texts: str, name: str = "stdout") -> str:
    """What of these prints reaches the notebook."""
    got = [shown.new("stream", {"name": name, "text": text}) for text in texts]
    return "".join(content["text"] for content in got if content)


def shows(shown: Shown, msg_type: str, content: dict[str, Any] | None = None) -> bool:
    return shown.new(msg_type, content or {}) is not None


class TestText:
    def test_a_first_run_shows_everything_as_it_is(self) -> None:
        content = {"name": "stdout", "text": "a", "more": 1}
        assert Shown().new("stream", content) == content

    def test_text_that_repeats_is_not_shown_again(self) -> None:
        shown = Shown()
        prints(shown, "epoch 1\n", "epoch 2\n")
        shown.again()
        assert prints(shown, "epoch 1\n", "epoch 2\n", "epoch 3\n") == "epoch 3\n"

    def test_however_it_is_cut(self) -> None:
        shown = Shown()
        prints(shown, "epoch 1\nepo")
        shown.again()
        assert prints(shown, "ep", "och 1\n", "epoch 2\n") == "ch 2\n"

    def test_from_where_it_differs_it_is_shown(self) -> None:
        shown = Shown()
        prints(shown, "loss 0.50\nloss 0.40\n")
        shown.again()
        assert prints(shown, "loss 0.50\nloss 0.39\n", "loss 0.30\n") == "39\nloss 0.30\n"

    def test_what_is_printed_twice_by_the_cell_itself_is_shown_twice(self) -> None:
        shown = Shown()
        assert prints(shown, "tick\n", "tick\n") == "tick\ntick\n"
        shown.again()
        assert prints(shown, "tick\n", "tick\n", "tick\n") == "tick\n"

    def test_two_streams_are_compared_each_for_itself(self) -> None:
        shown = Shown()
        prints(shown, "out\n")
        prints(shown, "warning\n", name="stderr")
        shown.again()
        assert prints(shown, "warning\n", name="stderr") == ""
        assert prints(shown, "out\n", "more\n") == "more\n"
        assert prints(shown, "out\n", name="stderr") == "out\n"

    def test_a_run_that_is_lost_early_hides_nothing_of_the_next(self) -> None:
        shown = Shown()
        prints(shown, "1\n2\n3\n")
        shown.again()
        assert prints(shown, "1\n") == ""
        shown.again()
        assert prints(shown, "1\n2\n", "3\n4\n") == "4\n"

    def test_after_a_run_that_differed_the_third_is_compared_with_it(self) -> None:
        shown = Shown()
        prints(shown, "a\nb\n")
        shown.again()
        prints(shown, "a\nc\n")
        shown.again()
        assert prints(shown, "a\nc\nd\n") == "d\n"

    def test_empty_text_is_no_output(self) -> None:
        assert prints(Shown(), "", "a") == "a"

    def test_a_flood_costs_no_more_a_line_at_its_end_than_at_its_beginning(self) -> None:
        """Counted, not timed: what is kept of a first run is what was printed, once."""
        shown = Shown()
        lines = [f"line {number}\n" for number in range(20_000)]
        assert prints(shown, *lines) == "".join(lines)
        shown.again()
        assert prints(shown, *lines, "more\n") == "more\n"


class TestDisplayIds:
    """A second run makes new ids for displays that front ends know under those of the first."""

    @staticmethod
    def display(shown: Shown, id_: str | None) -> bool:
        return shows(shown, "display_data", {**FIGURE, "transient": {"display_id": id_}})

    def test_an_update_goes_to_the_one_that_is_shown(self) -> None:
        shown = Shown()
        assert self.display(shown, "first")
        shown.again()
        assert not self.display(shown, "second")
        update = {**FIGURE, "transient": {"display_id": "second"}}
        assert under_shown_name(update, shown.renamed)["transient"] == {"display_id": "first"}

    def test_each_is_found_by_its_place(self) -> None:
        shown = Shown()
        for id_ in ("a", None, "b"):
            self.display(shown, id_)
        shown.again()
        for id_ in ("c", None, "d", "e"):
            self.display(shown, id_)
        assert shown.renamed == {"c": "a", "d": "b"}

    def test_one_that_was_never_renamed_stays(self) -> None:
        update = {**FIGURE, "transient": {"display_id": "mine"}}
        assert under_shown_name(update, {"other": "x"}) is update
        assert under_shown_name(FIGURE, {"other": "x"}) is FIGURE


class TestOthers:
    def test_figures_are_counted_since_no_two_have_the_same_bytes(self) -> None:
        shown = Shown()
        assert shows(shown, "display_data", FIGURE)
        assert shows(shown, "display_data", FIGURE)
        shown.again()
        again = [shows(shown, "display_data", FIGURE) for _ in range(3)]
        assert again == [False, False, True]
        shown.again()
        again = [shows(shown, "display_data", FIGURE) for _ in range(4)]
        assert again == [False, False, False, True]

    def test_each_type_is_counted_for_itself(self) -> None:
        shown = Shown()
        shows(shown, "execute_input")
        shows(shown, "display_data", FIGURE)
        shown.again()
        assert not shows(shown, "execute_input")
        assert shows(shown, "execute_result", FIGURE)
        assert not shows(shown, "display_data", FIGURE)

    def test_busy_and_idle_are_seen_once_each(self) -> None:
        shown = Shown()
        assert shows(shown, "status", {"execution_state": "busy"})
        shown.again()
        assert not shows(shown, "status", {"execution_state": "busy"})
        assert shows(shown, "status", {"execution_state": "idle"})

    def test_a_widget_of_the_new_run_takes_the_place_of_the_dead_one(self) -> None:
        shown = Shown()
        for _ in range(2):
            assert shows(shown, "comm_open", {"data": {}})
            assert shows(shown, "comm_msg", {"data": {}})
            assert shows(shown, "display_data", WIDGET)
            shown.again()

    def test_a_widget_does_not_count_as_a_figure(self) -> None:
        shown = Shown()
        shows(shown, "display_data", FIGURE)
        shown.again()
        shows(shown, "display_data", WIDGET)
        assert not shows(shown, "display_data", FIGURE)
