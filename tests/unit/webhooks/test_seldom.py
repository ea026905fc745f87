from calltrack.seldom import Seldom


def test_each_kind_now_and_then():
    now = 5.0
    seldom = Seldom(60, clock=lambda: now)
    assert seldom.due("a")
    assert not seldom.due("a")
    assert seldom.due("b")
    now = 64.9
    assert not seldom.due("a")
    now = 65.0
    assert seldom.due("a")
    assert not seldom.due("a")
