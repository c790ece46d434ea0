"""What seqlens reaches (`quality`) and what it costs (`speed`); docs/results.md is made from their rows."""

from seqlens.threads import let_waiting_threads_sleep

# As the command line does, and here, since every other module may import torch.
let_waiting_threads_sleep()
