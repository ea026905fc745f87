"""Providers that other packages bring; one that cannot be used takes no other down."""

from __future__ import annotations

import logging
import sys

import pytest

from calltrack import registry
from calltrack.errors import FixConfiguration, UnknownDoor

BUILT_IN = registry.names()
DECLARED = """
from dataclasses import replace
from calltrack import registry
PROVIDER = replace(registry.get({like!r}), name={name!r}, webhook=replace(
    registry.get({like!r}).webhook, paths={paths!r}))
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a package: `install("calltrack-acme", "acme", source)`."""
    monkeypatch.syspath_prepend(tmp_path)
    there = set(sys.modules)

    def installed(package, name, source):
        module = package.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[calltrack.providers]\n{name} = {module}\n")
        registry.forget()

    yield installed
    registry.forget()
    for name in set(sys.modules) - there:
        del sys.modules[name]


def declared(name="acme", paths=None):
    return DECLARED.format(name=name, like=BUILT_IN[0], paths=paths or {})


def test_a_package_brings_a_provider(install):
    install("calltrack-acme", "acme", declared(paths={"/acme/calls": ""}))
    assert registry.names() == tuple(sorted([*BUILT_IN, "acme"]))
    assert registry.get("acme").name == "acme"
    assert registry.get("acme") is registry.get("acme")
    assert registry.module("acme") == "calltrack_acme"
    assert registry.faults() == ()


def test_an_installed_provider_has_queues_of_its_own(install):
    """A queue that no worker reads would hold its messages for ever."""
    from click.testing import CliRunner

    from calltrack.cli.queues import queues

    install("calltrack-acme", "acme", declared())
    told = CliRunner().invoke(queues, ["fetch,store,webhooks"]).output.strip().split(",")
    assert {"acme.fetch", "acme.store", "acme.webhooks"} <= set(told)


@pytest.mark.parametrize(
    ("name", "source", "why"),
    [
        ("acme", "import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("acme", "raise RuntimeError('first\\nsecond')", "RuntimeError: first."),
        ("acme", "PROVIDER = 7", "has no PROVIDER"),
        ("acme", "", "has no PROVIDER"),
        ("acme", "syntax error", "SyntaxError"),
        ("acme", "from calltrack.provider import Provider\nPROVIDER = Provider(name='acme')", "TypeError"),
        ("acme", declared("emca"), "registered as 'acme' and calls itself 'emca'"),
        ("Ac-me", declared("Ac-me"), "small letters and digits"),
        (BUILT_IN[0], declared(BUILT_IN[0]), "there is a provider of this name already"),
        ("acme", declared(paths={"/healthz": ""}), "its door /healthz is another's"),
        ("acme", declared(paths={"/webhooks/other": ""}), "its door /webhooks/other is another's"),
    ],
)
def test_one_that_cannot_be_used_is_left_out_and_told_of(install, caplog, name, source, why):
    install("calltrack-acme", name, source)
    install("calltrack-good", "good", declared("good"))
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert registry.names() == tuple(sorted([*BUILT_IN, "good"]))
    (fault,) = registry.faults()
    assert (fault.name, fault.package) == (name, "calltrack-acme")
    assert fault.message.startswith(f"The provider {name!r} of the package calltrack-acme is left out: ")
    assert why in fault.message
    assert fault.message.endswith("pip uninstall calltrack-acme")
    assert "\n" not in fault.message
    assert [record.getMessage() for record in caplog.records] == [fault.message]
    assert all(registry.get(each) for each in registry.names())


def test_who_asks_for_a_broken_one_learns_why(install):
    install("calltrack-acme", "acme", "import nothing_of_that_name")
    with pytest.raises(UnknownDoor, match=r"There is no provider 'acme'.*nothing_of_that_name"):
        registry.get("acme")


def test_the_first_package_by_name_gets_the_name(install):
    install("b-package", "acme", declared())
    install("a-package", "acme", declared())
    assert registry.module("acme") == "a_package"
    assert [fault.package for fault in registry.faults()] == ["b-package"]


def test_no_two_have_one_door(install):
    built_in = [path for name in BUILT_IN for path in registry.get(name).webhook.paths]
    install("a-package", "acme", declared(paths={"/acme": ""}))
    install("b-package", "bell", declared("bell", paths={"/acme": ""}))
    install("c-package", "cord", declared("cord", paths={built_in[0]: ""}))
    assert "acme" in registry.names()
    assert [fault.name for fault in registry.faults()] == ["bell", "cord"]


def test_doctor_tells_of_it(install):
    from calltrack.cli.doctor import plugins

    install("calltrack-acme", "acme", "import nothing_of_that_name")
    (finding,) = plugins()
    assert (finding.subject, finding.fault) == ("calltrack-acme", registry.faults()[0].message)


def test_an_unknown_name(install):
    with pytest.raises(UnknownDoor, match=r"There is no provider 'nobody'\. There are: "):
        registry.get("nobody")


def test_a_name_is_checked_before_anything_is_written(tmp_path):
    from calltrack.cli.provider import new

    for name in ("Acme", "ac-me", "", "1st", "../up", BUILT_IN[0]):
        with pytest.raises(FixConfiguration):
            new.callback(name, tmp_path)
    (tmp_path / "calltrack-acme").mkdir()
    with pytest.raises(FixConfiguration, match="is there already"):
        new.callback("acme", tmp_path)
    assert [*tmp_path.rglob("*")] == [tmp_path / "calltrack-acme"]
