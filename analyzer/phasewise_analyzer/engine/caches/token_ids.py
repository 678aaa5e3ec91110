"""The type of a prompt in tokens."""

import numpy as np
import numpy.typing as npt

TokenIds = npt.NDArray[np.int64]
