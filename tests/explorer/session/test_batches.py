"""Forward passes that wait for the same model run as one batch, and give everybody their own numbers."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from explorer.session.batches import MOST_PICTURES, Batches
from explorer.session.turns import VISITOR, StoppedError, Turns, Visitor
from vit_model import SIZES, VisionTransformer

TINY = VisionTransformer(SIZES["scratch-vit4"]).eval().requires_grad_(False)
torch.nn.init.normal_(TINY.head.weight, generator=torch.Generator().manual_seed(0))


class Counted:
    """A model that counts its forward passes, and can fail."""

    def __init__(self, error: Exception | None = None):
        self.config, self.batches, self.error = TINY.config, [], error

    def trace(self, pixels):
        self.batches.append(len(pixels))
        if self.error is not None:
            raise self.error
        return TINY.trace(pixels)


def pictures(count):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(1, 3, *TINY.config.image_size, generator=generator) for _ in range(count)]


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def busy():
    """A gate of one place, which is taken until it is let go, and what traces behind it."""
    turns, free = Turns(places=1), threading.Event()

    def hold():
        with turns.quick():
            free.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    until(lambda: turns._running == 1)
    yield turns, Batches(turns), free
    free.set()
    holder.join()


def test_who_waits_for_the_same_model_is_traced_in_batches(busy):
    turns, batches, free = busy
    model, sent = Counted(), pictures(MOST_PICTURES + 2)
    with ThreadPoolExecutor(len(sent)) as pool:
        futures = [pool.submit(batches.trace, model, pixels) for pixels in sent]
        until(lambda: turns.waiting() == len(sent))
        free.set()
        traces = [future.result(60) for future in futures]
    assert sorted(model.batches) == [2, MOST_PICTURES]
    for pixels, trace in zip(sent, traces, strict=True):
        alone = TINY.trace(pixels)
        assert trace.logits.shape == alone.logits.shape
        torch.testing.assert_close(trace.logits, alone.logits, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(trace.attention(-1), alone.attention(-1), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(trace.residual[-1], alone.residual[-1], rtol=1e-4, atol=1e-5)
        assert trace.nbytes <= 2 * alone.nbytes  # nobody keeps the batch of the others
    assert batches._waiting == {}


def test_other_models_wait_for_turns_of_their_own(busy):
    turns, batches, free = busy
    models = [Counted(), Counted()]
    with ThreadPoolExecutor(4) as pool:
        futures = [
            pool.submit(batches.trace, model, pixels) for model, pixels in zip(models * 2, pictures(4), strict=True)
        ]
        until(lambda: turns.waiting() == 4)
        free.set()
        assert all(future.result(60).logits.shape == (1, 10) for future in futures)
    assert [model.batches for model in models] == [[2], [2]]


def test_alone_a_picture_has_the_same_bits():
    pixels = pictures(1)[0]
    assert torch.equal(Batches(Turns()).trace(TINY, pixels).logits, TINY(pixels))


def test_an_error_reaches_everyone_of_the_batch(busy):
    turns, batches, free = busy
    model = Counted(MemoryError("too large"))
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(batches.trace, model, pixels) for pixels in pictures(3)]
        until(lambda: turns.waiting() == 3)
        free.set()
        for future in futures:
            with pytest.raises(MemoryError, match="too large"):
                future.result(60)
    assert model.batches == [3]
    assert batches._waiting == {}


def test_who_has_left_is_not_traced(busy):
    turns, batches, free = busy
    model, left = Counted(), threading.Event()

    def leaving(pixels):
        VISITOR.set(Visitor("leaves", left.is_set))
        return batches.trace(model, pixels)

    with ThreadPoolExecutor(2) as pool:
        first, second = pictures(2)
        gone, stays = pool.submit(leaving, first), pool.submit(batches.trace, model, second)
        until(lambda: turns.waiting() == 2)
        left.set()
        with pytest.raises(StoppedError):
            gone.result(60)
        free.set()
        stays.result(60)
    assert model.batches == [1]
