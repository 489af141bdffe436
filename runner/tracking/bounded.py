"""How long MLflow and its drivers try by themselves, and what they print meanwhile."""

# MLflow would try for minutes by itself. Here an error is told at once, and waited out as long as
# that pays.
BOUNDED = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "4",
    "PGCONNECT_TIMEOUT": "4",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # nothing leaves the machine unasked
}
