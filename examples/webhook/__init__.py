"""A webhook service that goes on working while its contacts become unique: FastAPI, psycopg, Prometheus."""
