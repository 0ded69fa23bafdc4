from pipeline.store.quarantine import plan_quarantine


def test_without_deaths_all_are_computed_together():
    assert plan_quarantine([3, 4, 5], []) == plan_quarantine([3, 4, 5], [[8, 9]])
    assert plan_quarantine([3, 4, 5], []).together == [3, 4, 5]


def test_suspects_are_computed_alone_fewest_deaths_first():
    plan = plan_quarantine(range(8), [[2, 3], [6, 7], [3]])
    assert (plan.together, plan.alone, plan.quarantined) == ([0, 1, 4, 5], [2, 6, 7, 3], [])


def test_an_image_is_quarantined_after_three_deaths_two_of_them_alone():
    assert plan_quarantine([5, 6], [[5, 6], [5, 6], [5, 6], [5, 6]]).quarantined == []
    assert plan_quarantine([5, 6], [[5, 6], [5, 6], [5]]).quarantined == []
    assert plan_quarantine([5, 6], [[5], [5]]).quarantined == []
    plan = plan_quarantine([5, 6], [[5, 6], [5], [5]])
    (failure,) = plan.quarantined
    assert (failure.index, failure.stage, plan.alone) == (5, "killed", [6])
    assert "died 3 times" in failure.error


def test_only_remaining_images_are_quarantined():
    assert plan_quarantine([], [[5], [5], [5]]).quarantined == []
