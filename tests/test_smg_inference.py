import numpy as np

from smg import inference


def test_chunks_are_of_one_size_and_their_filling_is_cut():
  sizes = []

  def double(images):
    sizes.append(len(images))
    return 2 * images

  images = np.arange(5 * 3 * 2.0).reshape(5, 3, 2, 1)
  found = inference.in_chunks(double, images, 2)
  np.testing.assert_array_equal(found, 2 * images)
  assert sizes == [2, 2, 2]


def test_an_image_of_one_value_is_background_and_others_are_left():
  rng = np.random.default_rng(0)
  images = rng.random((3, 4, 2, 2), np.float32)
  images[1] = 0.25
  logits = rng.normal(size=(3, 4, 2, 3)).astype(np.float32)
  logits[1, ..., 2] += 9
  found = np.asarray(inference.blank_to_background(logits, images))
  assert (found[1].argmax(axis=-1) == 0).all()
  np.testing.assert_array_equal(found[[0, 2]], logits[[0, 2]])
