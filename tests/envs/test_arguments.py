"""Arguments are refused by name, with a ValueError, wherever their type or value will not do."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from incentivize import envs
from incentivize.envs import arguments
from incentivize.envs.arguments import check_integer, check_knobs, check_one_of, check_options

if TYPE_CHECKING:
    from nowhere import Unknown  # pyright: ignore[reportMissingImports]


@dataclass(frozen=True)
class Brought:
    """Knobs of every kind, as another package may have them."""

    whole: int = 1
    share: float = 0.5
    either: bool = False
    word: str = "a"
    mode: Literal["slow", "fast", 3] = "slow"
    most: int | None = None
    sizes: tuple[int, ...] = ()
    anything: Any = None
    later: "int | str" = 0
    made: int = field(default=7, init=False)


@dataclass(frozen=True)
class Unread:
    """A knob whose annotation only a type checker can read."""

    knob: "Unknown" = 0


@pytest.mark.parametrize("value", ["4", None, 4.0, True, np.bool_(True), np.float64(4), float("nan"), [4], b"4", 4j])
def test_what_is_no_integer_is_refused(value):
    with pytest.raises(ValueError, match=r"^count = .*: expected an integer from 1 to 1,000\.$"):
        check_integer("count", value, 1, 1000)


@pytest.mark.parametrize("value", [4, np.int64(4), np.uint8(4), np.array(4)])
def test_integers_of_numpy_are_integers(value):
    found = check_integer("count", value, 4, 4)
    assert (type(found), found) == (int, 4)
    for least, most in ((5, None), (0, 3)):
        with pytest.raises(ValueError, match="count = "):
            check_integer("count", value, least, most)


@pytest.mark.parametrize("value", ["c", None, 1, ["a"], np.array(["a", "b"]), {}])
def test_what_is_no_known_name_is_refused(value):
    with pytest.raises(ValueError, match=r"letter = .*: expected one of a, b\."):
        check_one_of("letter", value, ("a", "b"))


def test_options_are_a_dict_of_known_ones():
    assert check_options(None, ("task",)) == {}
    assert check_options({"task": 5}, ("task",)) == {"task": 5}
    for options in ([], "task", 0, False, [("task", 5)], {"task"}):
        with pytest.raises(ValueError, match=r"options = .*: expected a dict with 'task', or None\."):
            check_options(options, ("task",))
    with pytest.raises(ValueError, match=r"options = {'tsk': 1}: there is no option 'tsk'\. Did you mean 'task'\?$"):
        check_options({"tsk": 1}, ("task", "reset_mask"))
    with pytest.raises(ValueError, match=r"options = {3: 1}: there is no option 3\. Use 'task' or 'reset_mask'\.$"):
        check_options({3: 1}, ("task", "reset_mask"))


@pytest.mark.parametrize(
    ("knob", "value", "text"),
    [
        *(("whole", value, "expected an integer") for value in ("8", None, 8.0, True, np.bool_(True), [8])),
        *(("share", value, "expected a number") for value in ("1", None, True, [0.5])),
        *(("either", value, "expected True or False") for value in (1, 0, "yes", None, np.int64(1))),
        *(("word", value, "expected a string") for value in (1, None, b"a", ["a"])),
        *(("mode", value, "expected 'slow' or 'fast' or 3") for value in ("medium", 3.0, None, True)),
        *(("most", value, "expected an integer or None") for value in ("8", 8.0, True)),
        *(("sizes", value, "expected a tuple") for value in (3, [3], "3")),
        *(("later", value, "expected an integer or a string") for value in (1.5, None)),
    ],
)
def test_a_knob_of_another_type_than_its_annotation_is_refused(knob, value, text):
    with pytest.raises(ValueError, match=rf"^{knob} = .*: {text}\.$"):
        check_knobs("brought", Brought, {knob: value})


def test_knobs_of_the_right_type_are_taken_as_pythons_own():
    given = {"whole": np.int64(3), "share": 1, "either": np.bool_(True), "word": np.str_("b"), "mode": 3, "most": None}
    given |= {"sizes": (1, 2), "anything": [1], "later": "x"}
    found = check_knobs("brought", Brought, given)
    assert Brought(**found) == Brought(3, 1.0, True, "b", 3, None, (1, 2), [1], "x")
    assert [type(found[knob]) for knob in ("whole", "share", "either", "word")] == [int, float, bool, str]


def test_what_cannot_be_given_is_no_knob():
    with pytest.raises(ValueError, match=r"^made: brought has no such knob\. Use one of whole, .*later\.$"):
        check_knobs("brought", Brought, {"made": 3})


def test_an_annotation_that_cannot_be_read_is_left_to_the_family():
    assert check_knobs("unread", Unread, {"knob": "anything"}) == {"knob": "anything"}


@pytest.mark.parametrize("name", envs.names())
def test_every_knob_of_every_family_has_a_type_that_is_checked(name):
    kinds = arguments._kinds(envs.FAMILIES.load(name))
    assert kinds
    for knob, kind in kinds.items():
        for value in ("8", None, 8.0, [8], *([True] if kind is int else [1])):
            with pytest.raises(ValueError, match=f"^{knob} = "):
                envs.make(name, **{knob: value})


def test_make_refuses_what_is_of_another_type():
    for wrong in (2.0, "2", True, None):
        with pytest.raises(ValueError, match=r"life = .*: expected an integer"):
            envs.make("codebooks", life=wrong)
    for wrong in (["errands"], None, 3):
        with pytest.raises(ValueError, match="family = "):
            envs.make(wrong)
    for wrong in (["blind"], 3, True):
        with pytest.raises(ValueError, match="control = "):
            envs.make("errands", wrong)
    for wrong in (3, ["apart"], np.array(["apart", "together"])):
        with pytest.raises(ValueError, match="pairs = "):
            envs.make("errands", pairs=wrong)
    for wrong in (1.5, "1", True, -1):
        with pytest.raises(ValueError, match="permuted = "):
            envs.mix("errands", "mazes", permuted=wrong)
    assert envs.make("codebooks", life=np.int64(2)) == envs.make("codebooks", life=2)
    assert envs.make("errands", values=np.int64(8)) == envs.make("errands", values=8)
