#!/usr/bin/env python3
"""The page of fewshot serve in a headless Chromium: with the mouse, with the keyboard alone, in both colour schemes,
without a network.

    apt-get install chromium chromium-driver
    python3 -m venv CLIENTS && CLIENTS/bin/pip install -r tests/peers/requirements-serve.txt
    CLIENTS/bin/python tests/peers/page.py [-fewshot PROGRAM] [-runs FOLDER] [-screenshot page.png]

-runs is a folder of tasks (serve -models), trained here for an epoch if it is not given. The browser may resolve no
name, so that the page has what the server gives it and nothing else; an error in its console fails the test, and so
does a control without a name.
"""

import argparse
import base64
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

ROOT = pathlib.Path(__file__).resolve().parents[2]
failed = []


def check(what, ok, seen=""):
    print(f"  {'ok ' if ok else 'BAD'} {what}" + ("" if ok else f": {seen}"))
    if not ok:
        failed.append(what)


def browser(downloads):
    o = webdriver.ChromeOptions()
    for a in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1000,760",
            "--force-device-scale-factor=1",
              "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={downloads}"):
        o.add_argument(a)
    o.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(o, webdriver.ChromeService("/usr/bin/chromedriver"))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("-fewshot")
    p.add_argument("-runs")
    p.add_argument("-image", help="the picture to ask about; one of synth:scenes if not given")
    p.add_argument("-screenshot")
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        tmp = pathlib.Path(tmp)
        program = a.fewshot or str(tmp / "fewshot")
        if not a.fewshot:
            subprocess.run(["go", "build", "-o", program, "./cmd/fewshot"], cwd=ROOT, check=True)
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        runs = a.runs
        if not runs:
            runs = tmp / "runs"
            subprocess.run([program, "train", "-dataset", "synth:scenes", "-epochs", "1", "-out", runs / "scenes"],
                **quiet)
        subprocess.run([program, "data", "export", "-dataset", "synth:scenes", "-out", tmp / "data"], **quiet)
        image = pathlib.Path(a.image) if a.image else sorted((tmp / "data").rglob("*.png"))[0]
        server = subprocess.Popen([program, "serve", "-models", runs, "-listen", "127.0.0.1:0"], stdout=subprocess.PIPE,
            text=True)
        try:
            for line in server.stdout:
                if line.startswith("serving on "):
                    address = line.split()[-1]
                    break
            d = browser(tmp / "profile")
            try:
                page(d, address, image, a.screenshot)
            finally:
                d.quit()
        finally:
            server.kill()
    if failed:
        sys.exit(f"{len(failed)} failed: {failed}")
    print("the page does")


def page(d, address, image, screenshot):
    print(d.capabilities["browserName"], d.capabilities["browserVersion"])
    d.get(address)
    wait = WebDriverWait(d, 30)
    wait.until(lambda d: d.find_elements(By.CSS_SELECTOR, "#task option"))
    check("title", d.title.startswith("fewshot"), d.title)
    named(d)
    d.get_log("performance")  # of the browser's own start

    print("a file, by the mouse")
    task = d.find_element(By.ID, "task").get_property("value")
    d.find_element(By.ID, "file").send_keys(str(image))
    rows = shown(d, wait)
    want = json.load(urllib.request.urlopen(urllib.request.Request(f"{address}/compare/{task}", image.read_bytes())))
    check("bars are the server's answer", [r[0] for r in rows] == [s["label"] for s in want["tuned"]], (rows, want))
    check("in percent", abs(float(rows[0][1].split()[0]) - 100 * want["tuned"][0]["score"]) < 0.06,
        (rows[0], want["tuned"][0]))
    check("the untouched model beside it",
        abs(float(rows[0][2].split()[0]) - 100 * want["untouched"][0]["score"]) < 0.06, rows[0])
    widths = [float(e.get_attribute("style").split(":")[1].strip(" %;"))
        for e in d.find_elements(By.CSS_SELECTOR, "td.tuned .bar")]
    check("bars as long as they say", all(abs(w - 100 * s["score"]) < 0.01 for w, s in zip(widths, want["tuned"])),
        widths)
    check("said in words", "untouched model" in d.find_element(By.ID, "status").text,
        d.find_element(By.ID, "status").text)
    picture = d.find_element(By.ID, "picture")
    check("the picture is shown, with a text", picture.is_displayed() and picture.get_attribute("alt") != ""
        and d.execute_script("return arguments[0].naturalWidth", picture) > 0)
    if screenshot:
        for scheme in ("light", "dark"):
            d.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme",
                "value": scheme}]})
            d.save_screenshot(screenshot.replace(".png", f"-{scheme}.png"))
    for scheme in ("light", "dark"):
        d.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme",
            "value": scheme}]})
        for what, element in (("text", "body"), ("hints", ".hint"), ("what is said", "#status"), ("errors", "#error")):
            ratio = contrast(d, element)
            check(f"{scheme}: {what} stand out ({ratio:.1f})", ratio >= 4.5, ratio)

    print("dropped, pasted")
    for kind in ("drop", "paste"):
        d.execute_script("document.getElementById('result').hidden = true")
        d.execute_script(GIVE, base64.b64encode(image.read_bytes()).decode(), kind)
        check(kind, [r[0] for r in shown(d, wait)] == [s["label"] for s in want["tuned"]])

    print("no picture")
    d.execute_script(GIVE, base64.b64encode(b"no picture").decode(), "drop")
    wait.until(lambda d: d.find_element(By.ID, "error").text)
    check("the server's words", "unknown format" in d.find_element(By.ID, "error").text and not d.find_element(By.ID,
        "result").is_displayed(), d.find_element(By.ID, "error").text)

    print("by the keyboard alone")
    d.refresh()
    wait.until(lambda d: d.find_elements(By.CSS_SELECTOR, "#task option"))
    order = []
    for _ in range(4):
        ActionChains(d).send_keys(Keys.TAB).perform()
        order.append(d.execute_script("return document.activeElement.id"))
        if order[-1] == "task":
            outline = d.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
            check("the focus is seen", outline == "solid", outline)
            ActionChains(d).send_keys("clip").perform()
    check("order of Tab", order[:3] == ["task", "file", "labels"], order)
    check("clip is chosen by its letters", d.find_element(By.ID, "task").get_property("value") == "clip")
    d.find_element(By.ID, "file").send_keys(str(image))
    wait.until(lambda d: "two classes" in d.find_element(By.ID, "status").text)
    check("it says what is missing", True)
    d.find_element(By.ID, "labels").send_keys("the sea\na city\nwood")
    rows = shown(d, wait)
    check("classes of one's own", sorted(r[0] for r in rows) == ["a city", "the sea", "wood"], rows)
    named(d)

    print("a narrow window")
    d.set_window_size(400, 800)
    check("nothing sticks out", d.execute_script("return document.documentElement.scrollWidth <= innerWidth"))
    log = [e for e in d.get_log("browser") if e["level"] == "SEVERE" and "422" not in e["message"]
        and "400" not in e["message"]]
    check("nothing in the console", not log, log)
    asked = set()
    for e in d.get_log("performance"):
        m = json.loads(e["message"])["message"]
        if m["method"] == "Network.requestWillBeSent":
            asked.add(m["params"]["request"]["url"])
    outside = [u for u in asked if not u.startswith((address, "data:", "blob:" + address, "chrome"))]
    check(f"{len(asked)} addresses, all the server's", not outside, outside)


def shown(d, wait):
    """The rows of the answer, once it is there."""
    wait.until(lambda d: d.find_element(By.ID, "result").is_displayed() and d.find_element(By.ID,
        "status").text != "Looking …")
    return [[c.text for c in r.find_elements(By.CSS_SELECTOR, "th, td")]
        for r in d.find_elements(By.CSS_SELECTOR, "#rows tr")]


def named(d):
    """Every control has a role and a name, as a screen reader is told them."""
    tree = d.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    controls = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in tree if not n.get("ignored") and
                any(p["name"] == "focusable" and p["value"]["value"] for p in n.get("properties", []))
                and n["role"]["value"] not in ("RootWebArea", "MenuListOption", "option")]
    check(f"names of {len(controls)} controls: {controls}", len(controls) >= 2 and all(name for _, name in controls),
        controls)


def contrast(d, element):
    """WCAG's contrast of a text with what is behind it."""
    text, back = d.execute_script(
        """const [c, x] = [document.createElement('canvas'), 0]; c.width = c.height = 1; const g = c.getContext('2d', {willReadFrequently: true});
        const rgb = s => { g.clearRect(0, 0, 1, 1); g.fillStyle = s; g.fillRect(0, 0, 1, 1); return [...g.getImageData(0, 0, 1, 1).data].slice(0, 3); };
        return [rgb(getComputedStyle(document.querySelector(arguments[0])).color), rgb(getComputedStyle(document.body).backgroundColor)];""", element)
    light = []
    for colour in (text, back):
        v = [c / 255 for c in colour]
        v = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in v]
        light.append(0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2])
    return (max(light) + 0.05) / (min(light) + 0.05)


GIVE = """
const bytes = Uint8Array.from(atob(arguments[0]), c => c.charCodeAt(0)), t = new DataTransfer();
t.items.add(new File([bytes], 'given.png', {type: 'image/png'}));
const e = arguments[1] === 'drop' ? new DragEvent('drop', {dataTransfer: t, bubbles: true, cancelable: true}) : new ClipboardEvent('paste', {clipboardData: t, bubbles: true, cancelable: true});
document.getElementById('drop').dispatchEvent(e);
"""

main()
