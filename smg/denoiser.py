"""The score network: a U-Net that a learnable prompt per site modulates.

Residual blocks with group normalisation and feature-wise scale and shift as in
Dhariwal & Nichol, "Diffusion models beat GANs on image synthesis", NeurIPS
2021, section 3; prompts are attended to as in Rombach et al., "High-resolution
image synthesis with latent diffusion models", CVPR 2022, section 3.3; adapters
are those of Hu et al., "LoRA", ICLR 2022, equation 3, one per site.

Whatever belongs to one site is row `site` of a table whose name starts with
`site_`; everything else is the trunk, which all sites share.
"""

from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from smg import layers

Params = Any
_PREFIX = 'site_'
_ZEROS = nn.initializers.zeros_init()
# Of the sites' tables: Adam moves all entries alike, and these have far to go.
_GAIN = 10


def trainable(params: Params, site: int, trunk: bool) -> Params:
  """1 where a stage may change a parameter, else 0; leaves broadcast.

  Multiply *updates* by it, not gradients: moments and decay would still move
  what has no gradient. With `trunk=False` only row `site` of the tables is 1,
  and the outputs for every other site stay what they were, bit by bit.

  Args:
    params: of a `Denoiser`.
    site: row of the tables.
    trunk: whether the trunk, the null prompt included, may change.
  """

  def mask(path, leaf: jax.Array) -> jax.Array:
    if not path[-1].key.startswith(_PREFIX):
      return jnp.float32(trunk)
    rows = jnp.zeros(leaf.shape[0]).at[site].set(1)
    return rows.reshape((-1,) + (1,) * (leaf.ndim - 1))

  return jax.tree_util.tree_map_with_path(mask, params)


def copy_site(params: Params, source: int, target: int) -> Params:
  """The parameters with row `target` of every table a copy of `source`."""

  def copy(path, leaf: jax.Array) -> jax.Array:
    if not path[-1].key.startswith(_PREFIX):
      return leaf
    return leaf.at[target].set(leaf[source])

  return jax.tree_util.tree_map_with_path(copy, params)


class Denoiser(nn.Module):
  """Predicts noise or velocity of noisy image-mask tensors.

  Attributes:
    num_sites: rows of the tables.
    num_channels: at the finest level, doubled at each coarser one.
    num_levels: resolutions; sides are multiples of patch 2**(num_levels - 1).
    num_blocks: residual blocks per level, on the way down and on the way up.
    patch: side of the cubes that become channels at the input.
    num_tokens: of a prompt.
    token_dim: of a token.
    num_heads: of the attention to the prompt.
    adapter_rank: of the sites' own 1x1 convolutions.
  """

  num_sites: int
  num_channels: int = 32
  num_levels: int = 3
  num_blocks: int = 1
  patch: int = 2
  num_tokens: int = 4
  token_dim: int = 64
  num_heads: int = 4
  adapter_rank: int = 4

  @nn.compact
  def __call__(self, x: jax.Array, t: jax.Array, site: jax.Array) -> jax.Array:
    """Noisy x and its times give a prediction of the shape of x.

    Args:
      x: (b, *s, c), two or three spatial axes.
      t: (b,) in [0, 1].
      site: (b,) integers; `num_sites` is the null prompt, without adapters.
    """
    _check_sides(x.shape[1:-1], self.patch * 2 ** (self.num_levels - 1))
    tokens = self._prompt(site)
    condition = self._condition(t, tokens)
    shape = x.shape
    x = layers.to_depth(x, self.patch)
    depth = x.shape[-1]
    x += SiteMix(self.num_sites, name='mix_in')(x, site)
    h = layers.Conv(self.num_channels, name='stem')(x)
    h = self._levels(h, condition, tokens, site)
    h = layers.Conv(depth, kernel_init=_ZEROS, name='head')(
      nn.silu(layers.GroupNorm(name='norm')(h))
    )
    x = h + Bypass(name='bypass')(x, condition)
    x += SiteMix(self.num_sites, name='mix_out')(x, site)
    return layers.from_depth(x, self.patch, shape[-1])

  def _prompt(self, site: jax.Array) -> jax.Array:
    """(b,) -> (b, num_tokens, token_dim)."""
    init = nn.initializers.normal(1.0)
    shape = (self.num_tokens, self.token_dim)
    table = self.param('site_prompt', init, (self.num_sites, *shape))
    null = self.param('null_prompt', init, (1, *shape))
    return jnp.concatenate([table, null])[site]

  def _condition(self, t: jax.Array, tokens: jax.Array) -> jax.Array:
    """What modulates every block, (b, 4 num_channels)."""
    width = 4 * self.num_channels
    time = nn.Dense(width, name='time_0')(
      layers.embed(t, 2 * self.num_channels)
    )
    flat = tokens.reshape(tokens.shape[0], -1)
    mixed = nn.silu(time + nn.Dense(width, name='prompt')(flat))
    return nn.silu(nn.Dense(width, name='time_1')(mixed))

  def _levels(
    self,
    x: jax.Array,
    condition: jax.Array,
    tokens: jax.Array,
    site: jax.Array,
  ) -> jax.Array:
    widths = [self.num_channels * 2**i for i in range(self.num_levels)]

    def blocks(x, width, name):
      for i in range(self.num_blocks):
        block = Block(
          width, self.num_sites, self.adapter_rank, name=f'{name}_{i}'
        )
        x = block(x, condition, site)
      return x

    skips = []
    for level, width in enumerate(widths):
      if level:
        x = nn.Dense(width, name=f'half_{level}')(layers.to_depth(x, 2))
      x = blocks(x, width, f'down_{level}')
      skips.append(x)
    x += Attention(self.num_heads, name='attention')(x, tokens)
    x = blocks(x, widths[-1], 'middle')
    for level in reversed(range(self.num_levels - 1)):
      width = widths[level]
      x = nn.Dense(width * 2 ** (x.ndim - 2), name=f'double_{level}')(x)
      x = jnp.concatenate(
        [layers.from_depth(x, 2, width), skips[level]], axis=-1
      )
      x = nn.Dense(width, name=f'merge_{level}')(x)
      x = blocks(x, width, f'up_{level}')
    return x


class Block(nn.Module):
  """Residual block with modulation and the low-rank adapter of each site.

  h = conv(silu(norm(x)))
  h = silu(norm(h) (1 + scale) + shift)      # of the condition
  x + conv(h) + up[site] down[site] h         # up starts at zero
  """

  features: int
  num_sites: int
  rank: int

  @nn.compact
  def __call__(
    self, x: jax.Array, condition: jax.Array, site: jax.Array
  ) -> jax.Array:
    h = layers.Conv(self.features, name='conv_0')(
      nn.silu(layers.GroupNorm(name='norm_0')(x))
    )
    scale_shift = nn.Dense(2 * self.features, name='modulate')(condition)
    h = nn.silu(layers.GroupNorm(name='norm_1')(h, scale_shift))
    y = layers.Conv(self.features, name='conv_1')(h)
    return x + y + self._adapt(h, site)

  def _adapt(self, h: jax.Array, site: jax.Array) -> jax.Array:
    shape = (self.num_sites, self.features, self.rank)
    init = nn.initializers.normal(self.features**-0.5)
    down = self.param('site_down', init, shape)
    zeros = nn.initializers.zeros_init()
    up = self.param('site_up', zeros, (shape[0], shape[2], shape[1]))
    flat = h.reshape(h.shape[0], -1, self.features)
    flat = (flat @ _rows(down, site)) @ _rows(up, site)
    return flat.reshape(h.shape)


class SiteMix(nn.Module):
  """A matrix and an offset per site on the channels, zero at the start."""

  num_sites: int

  @nn.compact
  def __call__(self, x: jax.Array, site: jax.Array) -> jax.Array:
    zeros, c = nn.initializers.zeros_init(), x.shape[-1]
    matrix = self.param('site_matrix', zeros, (self.num_sites, c, c))
    offset = self.param('site_offset', zeros, (self.num_sites, 1, c))
    flat = x.reshape(x.shape[0], -1, c)
    y = flat @ _rows(matrix, site) + _rows(offset, site)
    return _GAIN * y.reshape(x.shape)


class Bypass(nn.Module):
  """Mixes channels by a matrix that the condition gives, zero at the start.

  Where x is noise alone, as in its finest detail, the target is (alpha / sigma)
  x: linear in x, but hard to learn for the network around it. Without this path
  the loss is three times as large after 300 steps.
  """

  @nn.compact
  def __call__(self, x: jax.Array, condition: jax.Array) -> jax.Array:
    c = x.shape[-1]
    zeros = nn.initializers.zeros_init()
    matrix = nn.Dense(c * c, kernel_init=zeros, name='matrix')(condition)
    flat = x.reshape(x.shape[0], -1, c) @ matrix.reshape(-1, c, c)
    return flat.reshape(x.shape)


class Attention(nn.Module):
  """Every position attends to the tokens of the prompt."""

  num_heads: int

  @nn.compact
  def __call__(self, x: jax.Array, tokens: jax.Array) -> jax.Array:
    """(b, *s, c) and (b, k, d) -> (b, *s, c)."""
    features = x.shape[-1]
    flat = layers.GroupNorm(name='norm')(x).reshape(x.shape[0], -1, features)
    shape = (*flat.shape[:1], -1, self.num_heads, features // self.num_heads)
    query = nn.Dense(features, name='query')(flat).reshape(shape)
    # A bias would add the same to all scores of a query.
    key = nn.Dense(features, use_bias=False, name='key')(tokens).reshape(shape)
    value = nn.Dense(features, name='value')(tokens).reshape(shape)
    scores = jnp.einsum('bnhd,bkhd->bhnk', query, key) * shape[-1] ** -0.5
    mixed = jnp.einsum('bhnk,bkhd->bnhd', nn.softmax(scores), value)
    out = nn.Dense(features, name='out')(mixed.reshape(flat.shape))
    return out.reshape(x.shape)


def _rows(table: jax.Array, site: jax.Array) -> jax.Array:
  """Row of each sample, (b, ...); zeros for the null site, past the end."""
  return table.at[site].get(mode='fill', fill_value=0)


def _check_sides(sides: tuple[int, ...], multiple: int) -> None:
  if len(sides) not in (2, 3) or any(side % multiple for side in sides):
    raise ValueError(
      f'image shape: found {sides}, allowed: two or three sides, multiples of '
      f'patch * 2**(num_levels - 1) = {multiple}'
    )
