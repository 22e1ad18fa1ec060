from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from incentivize.experiments.errors import InputError
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import dump, load, load_file, resolve
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.settings.training import Training

BASE = {"study": "task-count", "preset": "quick", "families": ("errands", "mazes")}
DEFAULTS = {"errands": {"learning_rate": 3e-3, "budget": 500_000}}


def wrong(*layers, base=BASE):
    with pytest.raises(InputError) as caught:
        resolve(base, DEFAULTS, *layers)
    return str(caught.value)


def test_precedence_is_default_preset_file_flag():
    plain = resolve(BASE | {"seeds": 3}, DEFAULTS)
    assert plain.training["errands"].learning_rate == 3e-3
    assert plain.training["mazes"].learning_rate == 1e-3
    file = {"learning_rate": 5e-3, "seeds": 4, "training": {"mazes": {"learning_rate": 6e-3, "width": 32}}}
    filed = resolve(BASE | {"seeds": 3}, DEFAULTS, file)
    assert [filed.training[name].learning_rate for name in BASE["families"]] == [5e-3, 6e-3]
    assert filed.seeds == 4
    flagged = resolve(BASE, DEFAULTS, file, {"learning_rate": 7e-3, "seeds": 5})
    assert [flagged.training[name].learning_rate for name in BASE["families"]] == [7e-3, 7e-3]
    assert flagged.training["mazes"].width == 32
    assert flagged.seeds == 5


def test_who_sets_a_key_sets_what_follows_it_unless_that_is_set_too():
    twins = {"learning_rate": 1e-3, "taught_learning_rate": 2e-3, "entropy_coef": 0.1, "entropy_coef_final": 0.01}

    def of(*layers, name="errands"):
        training = resolve(BASE, {"errands": twins}, *layers).training[name]
        return tuple(getattr(training, key) for key in twins)

    shipped = (1e-3, 2e-3, 0.1, 0.01)
    assert of() == of({"width": 32}) == shipped
    assert of({"learning_rate": 5e-3}) == (5e-3, None, 0.1, 0.01)
    assert of({"entropy_coef": 0.2}) == (1e-3, 2e-3, 0.2, None)
    assert of({"entropy_coef_final": 0.02}) == (1e-3, 2e-3, 0.1, 0.02)
    assert of({"learning_rate": 5e-3, "taught_learning_rate": 6e-3}) == (5e-3, 6e-3, 0.1, 0.01)
    table = {"training": {"errands": {"learning_rate": 5e-3, "taught_learning_rate": 6e-3}}}
    assert of(table) == (5e-3, 6e-3, 0.1, 0.01)
    assert of(table, {"learning_rate": 7e-3}) == (7e-3, None, 0.1, 0.01)
    assert of(table, {"taught_learning_rate": 8e-3}) == (5e-3, 8e-3, 0.1, 0.01)
    assert of({"training": {"errands": {"learning_rate": 5e-3}}}, {"taught_learning_rate": 8e-3})[:2] == (5e-3, 8e-3)
    assert of({"learning_rate": 7e-3}, table) == of({"learning_rate": 7e-3} | table) == (5e-3, 6e-3, 0.1, 0.01)


def test_every_wrong_key_and_value_is_named_at_once():
    text = wrong({"learning_rat": 1, "seeds": 0, "training": {"errands": {"widht": 3}}}, {"gamma": 1.5})
    assert "learning_rat: there is no such setting. Did you mean 'learning_rate'?" in text
    assert "training.errands.widht: there is no such setting. Did you mean 'width'?" in text
    assert "seeds = 0: must be at least 1." in text
    assert "training.errands.gamma = 1.5" in text


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"learning_rate": -1.0}, "learning_rate = -1.0: must be more than 0."),
        ({"learning_rate": float("nan")}, "learning_rate = nan: must be a finite number."),
        ({"minibatches": 3}, "training.errands.minibatches = 3: must divide num_envs = 512. Give"),
        ({"budget": 100}, "training.errands.budget = 100: must be at least one update"),
        ({"pools": (0, 4)}, "0 is not a pool size. Give 1 to 16777216"),
        ({"pools": (4, 4)}, "pools = (4, 4): names 4 twice. Remove one."),
        ({"pools": ("old",)}, "pools.0 = 'old': must be a number of tasks"),
        ({"families": ("errands", "errands")}, "families = ('errands', 'errands'): names errands twice. Remove one."),
        ({"specialist_envs": 30, "num_envs": 512}, "minibatches = 4: must divide specialist_envs = 30. Change"),
        ({"training": {"puzzles": {}}}, "training.puzzles: is not among families = ["),
        ({"knobs": {"errands": {"values": 3.5}}}, "knobs.errands.values = 3.5: must be a whole number, text in quotes"),
        ({"training": 3}, "must be tables by family"),
    ],
)
def test_what_cannot_be_is_refused(layer, message):
    assert message in wrong(layer)


def test_tables_of_a_preset_are_dropped_for_families_that_are_not_chosen_and_those_of_a_user_refused():
    tables = {"knobs": {"errands": {"values": 4}, "mazes": {"size": 5}}, "training": {"mazes": {"width": 32}}}
    settings = resolve(BASE | tables, {}, {"families": ("errands",)})
    assert settings.knobs == {"errands": {"values": 4}}
    assert set(settings.training) == {"errands"}
    assert "knobs.mazes: is not among families = ['errands']" in wrong(
        {"families": ("errands",), "knobs": tables["knobs"]}
    )


def test_pools_are_put_in_order():
    assert resolve(BASE, {}, {"pools": ("new", 64, 4)}).pools == (4, 64, None)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_file(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("seeds = ")
    with pytest.raises(InputError, match=r"--config = .*broken.toml: is not readable as TOML \(.*\)\. Correct it\."):
        load_file(broken)
    with pytest.raises(InputError, match=r"config.toml: does not hold resolved settings\. Restore it"):
        load("seeds = 3", Path("config.toml"))


@budget(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # on a machine that has much else to do
@given(
    seeds=st.integers(1, 1000),
    pools=st.sets(st.integers(1, 2**24) | st.just("new"), min_size=1, max_size=32).map(tuple),
    rate=st.floats(1e-9, 0.99),
    knobs=st.dictionaries(st.sampled_from(["values", "attributes"]), st.integers(0, 100)),
)
def test_resolved_settings_load_to_themselves(seeds, pools, rate, knobs):
    settings = Settings(
        study="task-count",
        seeds=seeds,
        pools=pools,
        families=("errands",),
        knobs={"errands": knobs},
        training={"errands": Training(learning_rate=rate)},
    )
    assert load(dump(settings), Path("config.toml")) == settings


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_shipped_values_are_valid(preset):
    for values in presets.training_defaults(preset).values():
        Training.model_validate(values)


def test_a_family_without_settings_of_its_own_is_tiny_too_where_the_preset_is():
    own = {"study": "task-count", "families": ("sums",)}
    assert resolve(own, presets.training_defaults("tiny")).training["sums"].budget == 1024
    assert resolve(own, presets.training_defaults("quick")).training["sums"] == Training()


TEXT = 'seeds = 3\nfamilies = ["errands"]\n'


@pytest.mark.parametrize("text", [TEXT, TEXT.replace("\n", "\r\n"), TEXT.replace("\n", "\r")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_file_of_any_editor_is_read(text, encoding, tmp_path):
    (tmp_path / "c.toml").write_bytes(text.encode(encoding))
    assert load_file(tmp_path / "c.toml") == {"seeds": 3, "families": ["errands"]}


@pytest.mark.parametrize(
    ("encoding", "named"),
    [("utf-16", "UTF-16"), ("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16"), ("utf-32", "UTF-32"), ("latin-1", "0xe4")],
)
def test_a_file_in_another_encoding_is_refused_by_its_name(encoding, named, tmp_path):
    (tmp_path / "c.toml").write_bytes(f"# läufe\n{TEXT}".encode(encoding))
    with pytest.raises(InputError, match=r"--config = .*c.toml: is (not )?written in") as caught:
        load_file(tmp_path / "c.toml")
    assert named in str(caught.value)
    assert "Save it as UTF-8." in str(caught.value)
