// Times in the reader's zone, for pages without a script of their own.
import { showLocalTimes } from "/static/format.js";

showLocalTimes();
