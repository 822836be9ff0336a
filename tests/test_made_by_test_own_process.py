
import pytest

pytestmark = pytest.mark.other_device


def test_right():
    from tests.own_process import is_own_process
    assert is_own_process()


@pytest.mark.parametrize("value", [1, 2])
def test_wrong(value):
    assert value == 1, "two is not one"


def test_skipped():
    pytest.skip("for a reason")
