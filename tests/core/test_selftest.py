"""The self-test's checks of Jittor's own operators on this machine; the kernels' are in test_kernels.py."""
from jt_dfd.doctor import selftest


def test_jittors_product_and_convolutions_are_right_here():
    results = selftest.matrix_product() + selftest.convolution()
    assert len(results) == 7
    assert [name for name, error, tolerance in results if not error <= tolerance] == []


def test_every_kernel_is_found_by_itself():
    names = [name for name, _ in selftest.checks()]
    assert {"jt_dfd.kernels.projection", "jt_dfd.kernels.merge", "jt_dfd.kernels.shadow"} <= set(names)
