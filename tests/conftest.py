"""What all tests share: one thread (small tensors lose time on more), and no deadline on a busy machine."""

import os

import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("seqlens", deadline=None)
settings.register_profile("soak", deadline=None, max_examples=100_000)
settings.load_profile("soak" if os.environ.get("SEQLENS_SOAK") else "seqlens")
