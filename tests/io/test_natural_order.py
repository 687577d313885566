from tltm_graph.io import natural_order


def test_numbers_sort_by_value():
    names = ["frame10.png", "frame2.png", "a/frame1.png", "12", "3", "", "x²1"]
    assert sorted(names, key=natural_order) == ["", "3", "12", "a/frame1.png", "frame2.png", "frame10.png", "x²1"]
