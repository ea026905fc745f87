"""A page for each provider that calltrack brings, with everything that a person can set."""

from pathlib import Path

import pytest

from calltrack import registry

DOCS = Path(__file__).parents[2] / "docs" / "providers"
BUILT_IN = [name for name in registry.names() if registry.module(name).startswith("calltrack.providers.")]


@pytest.mark.parametrize("name", BUILT_IN)
def test_docs_name_every_setting_and_variable(name):
    provider, page = registry.get(name), (DOCS / f"{name}.md").read_text()
    assert all(f"`{setting.name}`" in page for setting in provider.settings)
    assert all(f"`{variable}`" in page for variable in provider.environment)
