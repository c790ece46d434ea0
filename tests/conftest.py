"""What all tests share: one thread (small tensors lose time on more), and no deadline on a busy machine."""

import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("seqlens", deadline=None)
settings.load_profile("seqlens")
