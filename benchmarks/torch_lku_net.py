"""LKU-Net in PyTorch as one would write it there, to measure against."""

from collections.abc import Callable, Sequence
import os
import sys

# Before PyTorch is imported: its threads spin while they wait by default.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

try:
  import torch
  from torch import nn
except ModuleNotFoundError:
  sys.exit(
    "this benchmark compares with PyTorch: pip install -e '.[benchmark]'"
  )


class ConvPReLU(nn.Sequential):
  """3^3 convolution and PReLU."""

  def __init__(self, num_in: int, num_out: int, stride: int = 1):
    conv = nn.Conv3d(num_in, num_out, 3, stride=stride, padding=1)
    super().__init__(conv, nn.PReLU())


class LargeKernel(nn.Module):
  """PReLU(conv3(x) + conv1(x) + conv5(x) + x)."""

  def __init__(self, channels: int, size: int = 5):
    super().__init__()
    self.branches = nn.ModuleList(
      nn.Conv3d(channels, channels, k, padding=k // 2) for k in (3, 1, size)
    )
    self.act = nn.PReLU()

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    regular, one, large = (branch(x) for branch in self.branches)
    return self.act(regular + one + large + x)


class LKUNet(nn.Module):
  """(b, 2, x, y, z) to (b, 3, x, y, z)."""

  def __init__(self, num_channels: int = 16, num_levels: int = 4):
    super().__init__()
    widths = [
      num_channels * 2 ** min(i, num_levels - 1) for i in range(num_levels + 1)
    ]
    self.stem = nn.Sequential(
      ConvPReLU(2, num_channels), ConvPReLU(num_channels, num_channels)
    )
    self.down, self.large = nn.ModuleList(), nn.ModuleList()
    self.up, self.merge = nn.ModuleList(), nn.ModuleList()
    for level in range(num_levels):
      wide, narrow = widths[level + 1], num_channels * 2**level
      self.down.append(ConvPReLU(widths[level], wide, stride=2))
      self.large.append(LargeKernel(wide))
      up = nn.ConvTranspose3d(narrow, narrow, 2, stride=2)
      self.up.append(nn.Sequential(up, nn.PReLU()))
      after = num_channels * 2 ** max(level - 1, 0)
      self.merge.append(
        nn.Sequential(ConvPReLU(2 * narrow, narrow), ConvPReLU(narrow, after))
      )
    self.flow = nn.Conv3d(num_channels, 3, 3, padding=1, bias=False)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    x = self.stem(x)
    skips = [x]
    for down, large in zip(self.down, self.large, strict=True):
      x = down(x)
      skips.append(x)
      x = large(x)
    for level in reversed(range(len(self.up))):
      x = torch.cat([self.up[level](x), skips[level]], dim=1)
      x = self.merge[level](x)
    return self.flow(x)


def make_passes(
  shape: Sequence[int], num_channels: int, num_levels: int = 4
) -> Callable[[Sequence[int]], None]:
  """A function that goes forward and backward once per given batch size."""
  torch.manual_seed(0)
  torch.set_num_threads(os.cpu_count() or 1)
  network = LKUNet(num_channels, num_levels)
  pair = torch.rand(1, 2, *shape)

  def passes(batch_sizes: Sequence[int]) -> None:
    for size in batch_sizes:
      network.zero_grad(set_to_none=True)
      out = network(pair.expand(size, -1, -1, -1, -1))
      out.backward(torch.ones_like(out))

  return passes
