# The service: REST and demo, CPU only. docker build -t detente . && docker run -p 8000:8000 -v detente:/data detente
FROM python:3.12-slim

RUN useradd --create-home --uid 10001 detente && install -d -o detente /data
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE MODEL_CARD.md ./
COPY detente detente
COPY serve serve
COPY data/examples data/examples
RUN pip install --no-cache-dir --constraint constraints.txt --editable '.[serve]'

USER 10001
ENV DETENTE_HOST=0.0.0.0 DETENTE_PORT=8000 DETENTE_DATABASE_URL=sqlite:////data/detente.sqlite
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
CMD ["python", "-m", "serve"]
