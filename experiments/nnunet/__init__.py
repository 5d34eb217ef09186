"""nnU-Net in a process of its own, which the tests compare with; fetched by ``make peers``, not part of the environment."""
