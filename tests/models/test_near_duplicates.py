import numpy as np

from sorce.models.near_duplicates import most_distinct, rarity


def unit(rows):
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_what_repeats_goes_first():
    x, y, z = np.eye(3)
    vectors = unit([x, x + 0.01 * y, y, z, y + 0.01 * z, x])
    assert most_distinct(vectors, 3) == [0, 2, 3]


def test_fewer_than_asked_for_are_all_kept():
    vectors = unit(np.eye(3))
    assert most_distinct(vectors, 3) == most_distinct(vectors, 9) == [0, 1, 2]


def test_the_first_is_kept_and_none_twice():
    same = unit(np.ones((8, 5)))
    assert most_distinct(same, 1) == [0]
    assert len(set(most_distinct(same, 5))) == 5


def test_each_that_goes_has_one_like_it_that_stays():
    vectors = unit(np.random.default_rng(0).normal(size=(200, 8)))
    kept = most_distinct(vectors, 100)
    left = (vectors @ vectors[kept].T).max(axis=1).min()
    among = (vectors[kept] @ vectors[kept].T)[~np.eye(100, dtype=bool)].max()
    # Farthest-first: the kept ones are no more alike than the worst left-out one and its nearest kept one.
    assert among <= left + 1e-6


def test_of_two_that_differ_as_much_the_one_of_which_the_photo_shows_less_is_taken():
    x, y, z = np.eye(3)
    vectors = unit([x, y, y, y, z])
    assert most_distinct(vectors, 2) == [0, 1]
    assert most_distinct(vectors, 2, rarity(vectors)) == [0, 4]


def test_regions_that_cancel_each_other_out_are_equally_rare():
    x, y, _ = np.eye(3)
    assert rarity(unit([x, y, -x, -y])).tolist() == [1, 1, 1, 1]


def test_equal_regions_have_no_rarity_and_none_is_taken_twice():
    same = unit(np.ones((8, 5)))
    assert len(set(most_distinct(same, 5, rarity(same)))) == 5
