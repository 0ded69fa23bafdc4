from pipeline.store.quarantine import quarantine


def test_without_deaths_all_are_computed_together():
    assert quarantine([3, 4, 5], []) == quarantine([3, 4, 5], [[8, 9]])
    assert quarantine([3, 4, 5], []).together == [3, 4, 5]


def test_what_was_in_work_at_a_death_comes_last_and_alone():
    dealt = quarantine(range(8), [[2, 3], [6, 7], [3]])
    assert (dealt.together, dealt.alone, dealt.killed) == ([0, 1, 4, 5], [2, 6, 7, 3], [])


def test_an_image_is_given_up_after_three_deaths_of_which_it_was_alone_at_two():
    assert quarantine([5, 6], [[5, 6], [5, 6], [5, 6], [5, 6]]).killed == []
    assert quarantine([5, 6], [[5, 6], [5, 6], [5]]).killed == []
    assert quarantine([5, 6], [[5], [5]]).killed == []
    dealt = quarantine([5, 6], [[5, 6], [5], [5]])
    (failure,) = dealt.killed
    assert (failure.index, failure.stage, dealt.alone) == (5, "killed", [6])
    assert "died 3 times" in failure.error


def test_what_is_done_is_not_asked_about():
    assert quarantine([], [[5], [5], [5]]).killed == []
