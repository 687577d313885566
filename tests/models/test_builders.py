from tltm_graph.models import tltm_tiny


def test_size_of_the_tiny_model():
    assert sum(p.numel() for p in tltm_tiny().parameters()) < 2_000_000
