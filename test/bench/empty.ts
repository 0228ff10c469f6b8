// Compiled into `dist/empty`: what the runtime alone costs, the yardstick of every start-up figure.
export {};
