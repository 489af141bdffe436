"""How long MLflow and its drivers try by themselves."""

# MLflow would try for minutes by itself. Here an error is told at once, and waited out as long as
# that pays.
BOUNDED = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "4",
    "PGCONNECT_TIMEOUT": "4",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # nothing leaves the machine unasked
}
