import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smg import denoiser, diffusion

NULL = 2
MEAN = np.array([0.4, -0.3, 0.1], np.float32)
STD = 0.2
SHAPE = (4, 3, 3)


def _gaussian(params, x, t, site, *, prediction='v'):
  """The best prediction where the data are N(MEAN, STD^2)."""
  del params, site
  t = t[:, None, None, None]
  alpha, sigma = diffusion.alpha_sigma(t)
  mean = MEAN.reshape(1, 1, 1, -1)
  variance = (alpha * STD) ** 2 + sigma**2
  x0 = mean + alpha * STD**2 / variance * (x - alpha * mean)
  eps = (x - alpha * x0) / sigma
  return eps if prediction == 'eps' else alpha * eps - sigma * x0


def _by_site(params, x, t, site):
  """Element-wise, and different for every site."""
  weight = (1.0 + site.astype(x.dtype))[:, None, None, None]
  return params * jnp.sin(3 * x) * weight + 0.1 * t[:, None, None, None]


def _noise(key, num, step):
  """What the samples draw at a step, by the documented addressing."""
  keys = [jax.random.fold_in(key, i) for i in range(num)]
  return np.stack(
    [jax.random.normal(jax.random.fold_in(k, step), SHAPE) for k in keys]
  )


def _starts(key, num):
  return _noise(key, num, 0)


def test_the_schedule_is_the_cosine_with_regular_ends(x64):
  t = np.linspace(0, 1, 101)
  alpha, sigma = diffusion.alpha_sigma(jnp.asarray(t))
  np.testing.assert_allclose(alpha**2 + sigma**2, 1, rtol=1e-14)
  assert (np.diff(alpha) < 0).all()
  np.testing.assert_allclose(alpha[-1], 1e-3)
  np.testing.assert_allclose(sigma[0], np.sin(np.pi / 2 * 0.008 / 1.008))
  published = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
  np.testing.assert_allclose(alpha**2, published, atol=1e-3)


@pytest.mark.parametrize('prediction', diffusion.PREDICTIONS)
def test_predictions_and_what_they_say_are_inverse(x64, prediction):
  x0, eps = np.random.default_rng(0).normal(size=(2, 3, 5, 4, 2))
  t = jnp.array([0.0, 0.4, 1.0])
  x = diffusion.diffuse(x0, eps, t)
  y = diffusion.from_x0_eps(prediction, x0, eps, t)
  found = diffusion.to_x0_eps(prediction, x, y, t)
  np.testing.assert_allclose(found[0], x0, atol=1e-11)
  np.testing.assert_allclose(found[1], eps, atol=1e-11)
  # The ends, by hand: little but data at 0, little but noise at 1.
  np.testing.assert_allclose(x[0], x0[0], atol=0.05)
  np.testing.assert_allclose(x[2], eps[2], atol=0.01)
  np.testing.assert_allclose(y[0], eps[0], atol=0.05)
  last = -x0[2] if prediction == 'v' else eps[2]
  np.testing.assert_allclose(y[2], last, atol=0.01)


def test_times_fall_one_in_each_interval_in_random_order():
  t = np.asarray(diffusion.stratified_times(jax.random.key(0), 64))
  np.testing.assert_array_equal(np.sort(np.floor(64 * t)), np.arange(64))
  assert np.abs(np.corrcoef(t, np.arange(64))[0, 1]) < 0.3
  assert np.std(64 * t % 1) > 0.2


@pytest.mark.parametrize('prediction', diffusion.PREDICTIONS)
def test_who_knows_the_data_has_no_loss(prediction):
  x0 = jax.random.uniform(jax.random.key(0), (6, 4, 3, 2), minval=-1, maxval=1)

  def oracle(params, x, t, site):
    del site
    alpha, sigma = diffusion.alpha_sigma(t[:, None, None, None])
    eps = (x - alpha * params) / sigma
    return eps if prediction == 'eps' else alpha * eps - sigma * params

  loss = diffusion.make_loss(oracle, null_site=NULL, prediction=prediction)
  batch = {'x': x0, 'site': jnp.zeros(6, jnp.int32)}
  value, metrics = jax.jit(loss)(x0, batch, jax.random.key(1))
  assert value < 1e-8
  assert metrics == {'loss/total': value}
  # Off by 1 everywhere, in what is predicted.
  off = diffusion.make_loss(
    lambda *args: oracle(*args) + 1, null_site=NULL, prediction=prediction
  )
  value, _ = jax.jit(off)(x0, batch, jax.random.key(1))
  np.testing.assert_allclose(value, 1, rtol=1e-3)


@pytest.mark.parametrize('drop, share', [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)])
def test_prompts_are_dropped(drop, share):
  num = 4000

  def tells_the_null_site(params, x, t, site):
    # 1 off the null site, where the site is still the sample's own.
    del params
    assert t.shape == site.shape == (num,)
    is_null = (site == NULL)[:, None, None, None]
    own = (site == jnp.arange(num) % 2)[:, None, None, None]
    return jnp.where(is_null, 1e3, jnp.where(own, 0, jnp.nan)) * (1 + 0 * x)

  loss = diffusion.make_loss(
    tells_the_null_site, null_site=NULL, drop_prompt=drop
  )
  batch = {'x': jnp.zeros((num, 1, 1, 1)), 'site': jnp.arange(num) % 2}
  value, _ = loss(None, batch, jax.random.key(0))
  np.testing.assert_allclose(value / 1e6, share, atol=0.03)


@pytest.mark.parametrize('prediction', diffusion.PREDICTIONS)
def test_ddim_follows_the_flow_to_the_data(prediction):
  num, key = 64, jax.random.key(3)
  ddim = diffusion.Sampler(
    functools.partial(_gaussian, prediction=prediction),
    null_site=NULL,
    prediction=prediction,
    clip=False,
  )
  sites = jnp.zeros(num, jnp.int32)
  # The flow keeps (x - alpha mean) / sqrt(alpha^2 STD^2 + sigma^2).
  exact = MEAN + STD * _starts(key, num)
  errors = []
  for steps in (10, 40, 160):
    x = np.asarray(ddim(None, key, sites, SHAPE, num_steps=steps))
    errors.append(np.abs(x - exact).max())
  assert errors[1] < errors[0] / 2.5
  assert errors[2] < errors[1] / 2.5
  np.testing.assert_allclose(x.mean((0, 1, 2)), MEAN, atol=0.03)
  np.testing.assert_allclose(x.std((0, 1, 2)), STD, atol=0.03)


def test_ancestral_sampling_reaches_the_data():
  ddpm = diffusion.Sampler(_gaussian, null_site=NULL, eta=1.0, clip=False)
  sites = jnp.zeros(256, jnp.int32)
  x = ddpm(None, jax.random.key(4), sites, SHAPE, num_steps=200)
  np.testing.assert_allclose(np.mean(x, (0, 1, 2)), MEAN, atol=0.02)
  np.testing.assert_allclose(np.std(x, (0, 1, 2)), STD, atol=0.02)


def test_a_step_of_ddpm_is_the_posterior_of_ho_et_al(x64):
  key, times = jax.random.key(5), jnp.array([0.8, 0.3])
  sites = jnp.array([1, 0])
  ddpm = diffusion.Sampler(_by_site, null_site=NULL, eta=1.0)
  found = ddpm(0.3, key, sites, SHAPE, times=times)

  x = jnp.asarray(_starts(key, 2))
  z = _noise(key, 2, 1)
  y = np.asarray(_by_site(0.3, x, jnp.full(2, 0.8), sites))
  (a, b), (s, _) = (np.asarray(v) ** 2 for v in diffusion.alpha_sigma(times))
  x0 = np.clip(np.sqrt(a) * x - np.sqrt(s) * y, -1, 1)
  beta = 1 - a / b  # Of the step between the two times.
  mean = np.sqrt(b) * beta / (1 - a) * x0  # Equation 7
  mean += np.sqrt(a / b) * (1 - b) / (1 - a) * x
  x = mean + np.sqrt((1 - b) / (1 - a) * beta) * z
  y = np.asarray(_by_site(0.3, jnp.asarray(x), jnp.full(2, 0.3), sites))
  last = np.clip(np.sqrt(b) * x - np.sqrt(1 - b) * y, -1, 1)
  assert np.abs(last).max() > 0.999  # The clip was needed,
  assert np.mean(np.abs(last) < 0.9) > 0.3  # and is not all there is.
  np.testing.assert_allclose(found, last, atol=1e-10)


@pytest.mark.parametrize('eta', [0.25, 0.5])
def test_less_noise_than_ancestral_as_in_song_et_al(x64, eta):
  """Equations 12 and 16: eta scales the deviation, what is left stays eps."""
  key, times = jax.random.key(6), jnp.array([0.7, 0.4])
  sites = jnp.array([0, 1])
  sampler = diffusion.Sampler(_by_site, null_site=NULL, eta=eta, clip=False)
  found = sampler(0.3, key, sites, SHAPE, times=times)

  x = jnp.asarray(_starts(key, 2))
  (a, b), _ = (np.asarray(v) ** 2 for v in diffusion.alpha_sigma(times))
  v = np.asarray(_by_site(0.3, x, jnp.full(2, 0.7), sites))
  x0 = np.sqrt(a) * x - np.sqrt(1 - a) * v
  eps = (x - np.sqrt(a) * x0) / np.sqrt(1 - a)
  deviation = eta * np.sqrt((1 - b) / (1 - a) * (1 - a / b))
  x = np.sqrt(b) * x0 + np.sqrt(1 - b - deviation**2) * eps
  x += deviation * _noise(key, 2, 1)
  v = np.asarray(_by_site(0.3, jnp.asarray(x), jnp.full(2, 0.4), sites))
  last = np.sqrt(b) * x - np.sqrt(1 - b) * v
  np.testing.assert_allclose(found, last, atol=1e-10)


def test_even_times_start_at_one_and_stop_before_zero():
  ddim = diffusion.Sampler(_by_site, null_site=NULL)
  args = (0.2, jax.random.key(0), jnp.array([0, 1]), SHAPE)
  even = ddim(*args, num_steps=4)
  given = ddim(*args, times=jnp.array([1, 0.75, 0.5, 0.25]))
  np.testing.assert_array_equal(even, given)


def test_clipped_samples_stay_within_the_range():
  args = (5.0, jax.random.key(0), jnp.array([0, 1]), SHAPE)
  clipped = diffusion.Sampler(_by_site, null_site=NULL)(*args, num_steps=5)
  free = diffusion.Sampler(_by_site, null_site=NULL, clip=False)
  assert np.abs(clipped).max() <= 1
  assert np.abs(free(*args, num_steps=5)).max() > 1


def test_guidance_is_a_line_through_null_and_conditional():
  ddim = diffusion.Sampler(_by_site, null_site=NULL, clip=False)
  key, sites = jax.random.key(2), jnp.array([1, 0, 1])
  sample = functools.partial(ddim, 0.7, key, shape=SHAPE, num_steps=1)
  null = np.asarray(sample(jnp.full(3, NULL)))
  conditional = np.asarray(sample(sites))
  assert np.abs(conditional - null).max() > 0.1
  for weight in (0.0, 0.999999, 2.5):
    expected = null + weight * (conditional - null)
    found = sample(sites, guidance=weight)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_conditional_sampling_evaluates_once_and_nothing_recompiles():
  batches = []

  def counted(params, x, t, site):
    batches.append(x.shape[0])
    return _by_site(params, x, t, site)

  sample = diffusion.Sampler(counted, null_site=NULL)
  for i in range(3):
    sites = jnp.array([i % 2, 1, 0])
    sample(0.1 * i, jax.random.key(i), sites, SHAPE, num_steps=4)
  assert batches == [3]
  for weight in (0.0, 2.0, 3.0):
    sample(0.1, jax.random.key(9), sites, SHAPE, num_steps=4, guidance=weight)
  assert batches == [3, 6]
  again = diffusion.Sampler(counted, null_site=NULL)
  again(0.1, jax.random.key(9), sites, SHAPE, num_steps=4)
  assert batches == [3, 6]
  sample(0.1, jax.random.key(9), sites, SHAPE, num_steps=5, chunk=2)
  assert batches == [3, 6, 2]


@pytest.mark.parametrize('eta', [0.0, 1.0])
@pytest.mark.parametrize('guidance', [1.0, 2.0])
def test_a_sample_does_not_depend_on_its_company(eta, guidance):
  sampler = diffusion.Sampler(_by_site, null_site=NULL, eta=eta)
  sites = jnp.array([0, 1, 1, 0, 1, 0, 0])
  sample = functools.partial(
    sampler, 0.6, jax.random.key(7), shape=SHAPE, num_steps=3, guidance=guidance
  )
  whole = np.asarray(sample(sites))
  assert len(np.unique(whole.mean((1, 2, 3)))) == 7
  for chunk in (1, 2, 3, 7, 10):
    np.testing.assert_array_equal(sample(sites, chunk=chunk), whole)
  np.testing.assert_array_equal(sample(sites[:4]), whole[:4])


def test_samples_of_a_network_do_not_depend_on_their_number():
  net = denoiser.Denoiser(
    num_sites=2, num_channels=4, num_levels=2, token_dim=6, num_heads=2
  )
  shape, sites = (8, 12, 2), jnp.array([0, 1, 1, 0, 1])
  like = jax.eval_shape(
    net.init, jax.random.key(0), jnp.zeros((1, *shape)), jnp.zeros(1), sites[:1]
  )
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda p: jnp.asarray(0.2 * rng.normal(size=p.shape), p.dtype),
    like['params'],
  )
  sampler = diffusion.Sampler(
    lambda params, *args: net.apply({'params': params}, *args),
    null_site=NULL,
    eta=1.0,
  )
  sample = functools.partial(
    sampler, params, jax.random.key(1), shape=shape, num_steps=3
  )
  five = sample(sites, chunk=2)
  np.testing.assert_array_equal(sample(sites[:3], chunk=2), five[:3])
  # Kernels of other batch sizes may round otherwise.
  np.testing.assert_allclose(sample(sites), five, atol=1e-5)


def test_volumes_are_sampled():
  def shrink(params, x, t, site):
    del params, t, site
    return -x

  sample = diffusion.Sampler(shrink, null_site=NULL, eta=1.0)
  sites = jnp.array([0, 1, 0])
  x = sample(None, jax.random.key(0), sites, (2, 4, 3, 1), num_steps=2)
  assert x.shape == (3, 2, 4, 3, 1)


def test_the_average_warms_up_and_keeps_what_is_equal():
  old = {'a': jnp.array([1.0, 2.0]), 'b': jnp.array([0.1, 1 / 3])}
  new = {'a': jnp.array([3.0, -2.0]), 'b': old['b']}
  first = diffusion.ema(old, new, 0.99, 0)
  np.testing.assert_allclose(first['a'], [2.8, -1.6], rtol=1e-6)
  late = diffusion.ema(old, new, 0.99, jnp.array(10_000))
  np.testing.assert_allclose(late['a'], [1.02, 1.96], rtol=1e-6)
  for _ in range(100):
    old = diffusion.ema(old, new, 0.9, 5)
  np.testing.assert_array_equal(old['b'], new['b'])


def test_unknown_predictions_are_refused():
  with pytest.raises(ValueError, match="found 'x0', allowed: v, eps"):
    diffusion.make_loss(_by_site, null_site=NULL, prediction='x0')
  with pytest.raises(ValueError, match="found 'x0', allowed: v, eps"):
    diffusion.Sampler(_by_site, null_site=NULL, prediction='x0')
