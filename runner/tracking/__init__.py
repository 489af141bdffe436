"""From journals into MLflow: `session` is what a run sees of it, the rest is the publisher's."""

import warnings

# MLflow's store asks SQLAlchemy 2.1 for something deprecated, at each look.
warnings.filterwarnings("ignore", "The ``noload`` loader strategy", DeprecationWarning)
