"""Every array of the authors' implementation.

Relative to the largest entry of an array, 1e-9 where it is stored in double
precision and 1e-6 where in single; 2e-3 for surface distances, which the
original's library rounds.
"""

from tests.parity_baselines import *  # noqa: F403
from tests.parity_metrics import *  # noqa: F403
from tests.parity_numerics import *  # noqa: F403
from tests.parity_preprocessing import *  # noqa: F403
from tests.parity_updates import *  # noqa: F403
