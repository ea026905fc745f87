from stand_in import AcmeStandIn


def pytest_calltrack_stand_ins():
    """Each of its bad habits must be survived by a real sync: see docs/adding-a-provider.md of calltrack."""
    return {"acme": AcmeStandIn}
