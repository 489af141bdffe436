"""From journals into MLflow: `session` is what a run sees of it, the rest is the publisher's."""
