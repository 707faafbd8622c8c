"""What may have been forgotten: by a server that is another than before, or was emptied; and what is no such thing."""

import pytest

from stopkeeper.store.bundle import Store
from tests.contract.store.conftest import Rig

AGE_MS = 5_000  # nothing here takes so long
tells = pytest.mark.parametrize("rig", ["memory", "real"], indirect=True)
"""Deployments whose server tells which one it is: fakeredis has no INFO."""


def age_of(store: Store) -> int:
    age_ms = store.records.forgot_ms()
    return -1 if age_ms is None else age_ms


def test_at_the_first_start_nothing_was_forgotten(rig: Rig, store: Store) -> None:
    assert store.records.forgot_ms() is None
    assert store.records.forgot_ms() is None
    assert rig.process().records.forgot_ms() is None


@tells
def test_another_server_may_have_forgotten_from_when_it_is_first_seen(rig: Rig, store: Store) -> None:
    store.verify()
    rig.fail_over()
    rig.pass_ms(30)
    assert 0 <= age_of(store) < AGE_MS
    rig.pass_ms(60)
    assert all(60 <= age_of(each) < AGE_MS for each in (store, rig.process())), "noted once, for all"


@tells
def test_who_begins_on_another_server_notes_it_for_all(rig: Rig, store: Store) -> None:
    store.verify()
    rig.fail_over()
    rig.process().verify()
    rig.pass_ms(60)
    assert 60 <= age_of(store) < AGE_MS


def test_whoever_asked_before_sees_that_the_server_was_emptied(rig: Rig, store: Store) -> None:
    other = rig.process()
    assert (store.records.forgot_ms(), other.records.forgot_ms()) == (None, None)
    rig.pass_ms(20)
    rig.empty()
    rig.pass_ms(20)
    assert rig.process().records.forgot_ms() is None, "who begins now cannot know"
    assert 0 <= age_of(store) < AGE_MS
    rig.pass_ms(60)
    assert 60 <= age_of(other) < AGE_MS, "it is no second time"


def test_a_server_that_is_emptied_and_asked_at_once_is_told_too(rig: Rig, store: Store) -> None:
    store.verify()
    rig.pass_ms(20)
    rig.empty()
    assert 0 <= age_of(store) < AGE_MS


@tells
def test_what_happened_twice_is_counted_from_the_last_time(rig: Rig, store: Store) -> None:
    store.verify()
    rig.fail_over()
    store.records.forgot_ms()
    rig.pass_ms(500)
    rig.fail_over()
    assert 0 <= age_of(store) < 500


@tells
def test_a_clock_that_is_set_back_begins_the_wait_anew(rig: Rig, store: Store) -> None:
    store.verify()
    rig.fail_over()
    store.records.forgot_ms()
    rig.set_back(60_000)
    assert 0 <= age_of(store) < AGE_MS, "how long ago it was is not known"
    rig.pass_ms(60)
    assert 60 <= age_of(store) < AGE_MS


@pytest.mark.parametrize("rig", ["fakeredis"], indirect=True)
def test_a_server_that_does_not_tell_which_one_it_is_is_the_same(rig: Rig, store: Store) -> None:
    store.verify()
    rig.fail_over()
    assert store.records.forgot_ms() is None
