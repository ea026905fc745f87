"""A page for each provider that calltrack brings, with everything that a person can set."""

import re
from pathlib import Path

import pytest

from calltrack import registry
from calltrack.accounts import forms

DOCS = Path(__file__).parents[2] / "docs" / "providers"
BUILT_IN = [name for name in registry.names() if registry.module(name).startswith("calltrack.providers.")]


@pytest.mark.parametrize("name", BUILT_IN)
def test_docs_name_every_setting_and_variable(name):
    provider, page = registry.get(name), (DOCS / f"{name}.md").read_text()
    common = {setting.name for setting in forms.COMMON} - {"region"}
    assert not [
        each.name for each in forms.settings_of(provider) if each.name not in common and f"`{each.name}`" not in page
    ]
    required = {setting.name for setting in provider.settings if setting.required} | {"api_url", "webhook_secret"}
    named = {what for variable, what in forms.variables(provider).items() if f"`{variable}`" in page}
    assert required <= named


@pytest.mark.parametrize("name", BUILT_IN)
def test_docs_name_no_variable_that_is_none(name):
    page = (DOCS / f"{name}.md").read_text()
    assert set(re.findall(rf"`({name.upper()}_[A-Z_]+)`", page)) <= forms.variables(registry.get(name)).keys()


def test_docs_name_what_every_account_can_have():
    page = (DOCS.parent / "operations.md").read_text()
    assert not [each.name for each in forms.COMMON if f"`{each.name}`" not in page]
