"""Takes orders, and asks the stock for the goods: `python app.py`.

The only thing that it knows of the other application is its name. Where that runs and how it is reached is the sidecar's business.
Environment: APP_PORT, DAPR_HTTP_PORT, STOCK (the other application's name).
"""

import os
from contextlib import asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

STOCK = os.environ.get("STOCK", "stock")
SIDECAR = f"http://127.0.0.1:{os.environ.get('DAPR_HTTP_PORT', '3500')}"


@asynccontextmanager
async def connected(app):
    # The same paths as the other application has; the header says whose they are.
    async with httpx.AsyncClient(base_url=SIDECAR, headers={"dapr-app-id": STOCK}, timeout=20) as app.state.stock:
        yield


app = FastAPI(lifespan=connected)


@app.post("/orders", status_code=201)
async def order(request: Request, response: Response):
    wish = await request.json()
    answer = await app.state.stock.post(f"/items/{wish['item']}/reserve", json={"count": wish["count"]})
    response.status_code = 201 if answer.is_success else answer.status_code
    return {"order": wish, "stock": answer.json()}


@app.get("/deliveries")
async def deliveries():
    """Passes on the stock's events as they come."""
    asked = app.state.stock.build_request("GET", "/deliveries")
    answer = await app.state.stock.send(asked, stream=True)

    async def events():
        try:
            async for part in answer.aiter_raw():
                yield part
        finally:
            await answer.aclose()

    return StreamingResponse(events(), media_type="text/event-stream")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("APP_PORT", "6001")), log_level="warning")
